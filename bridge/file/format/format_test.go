package format

import (
	"errors"
	"strings"
	"testing"

	"vitrine/bridge/file/stream"
)

func TestGuess(t *testing.T) {
	lists := strings.Repeat("1 2 3\n", 2*listLines)
	for _, c := range []struct {
		name, given, lines, data string
		want                     string
		delimiter                byte
	}{
		{"a", "", "", "user_id,item_id\n", CSV, ','},
		{"a", "", "", "user_id;item_id\n1,2;3\n", CSV, ';'},
		{"a", "", "", "user_id\titem_id,x\ty\n", TSV, '\t'},
		{"a.CSV.gz", "", "", "{\n", CSV, ','},
		{"dir.csv/a.tab.zst", "", "", "x\n", TSV, '\t'},
		{"a.jsonl", "", "", "x\n", NDJSON, 0},
		{"a", "", "", "\n {\"a\":1}\n", NDJSON, 0},
		{"a.csv", NDJSON, "", "{}", NDJSON, 0},
		{"a", "", Lists, lists, Lists, 0},
		{"a", "", Sessions, lists, Sessions, 0},
		{"a", "", Lists, "1 2 3\nx\n", CSV, ','},
		{"a", "", Lists, "1 2 3\n1 2", Lists, 0}, // what was read ends within a line
		{"a", "", Lists, "12\n1 2\n", CSV, ','},
		{"a", "", "", lists, CSV, ','},
	} {
		got, delimiter, err := Guess(c.name, c.given, c.lines, []byte(c.data))
		if err != nil || got != c.want || delimiter != c.delimiter {
			t.Errorf("%+v: %s %q %v", c, got, delimiter, err)
		}
	}
	for _, c := range []struct{ name, given, data, code, says string }{
		{"a", "", " \n\t", stream.CodeEmptyFile, "3 bytes"},
		{"a", "", "[{}]", stream.CodeUnknownFormat, "array"},
		{"a.ndjson", "", "[{}]", stream.CodeUnknownFormat, "array"},
		{"a", strings.Repeat("x", 100), "b", stream.CodeUnknownFormat, `"` + strings.Repeat("x", 32) + `"; there are csv`},
	} {
		_, _, err := Guess(c.name, c.given, "", []byte(c.data))
		var fault *stream.Error
		if !errors.As(err, &fault) || fault.Code != c.code || !strings.Contains(fault.Detail, c.says) || fault.Name != c.name {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
