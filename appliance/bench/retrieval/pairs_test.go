package retrieval

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadPairs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "train.txt")
	if err := os.WriteFile(path, []byte("0 3 1 3\n7\n\n9 0\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := ReadPairs(path)
	if err != nil || m.Validate() != nil || m.Rows != 2 || m.Cols != 4 || m.NNZ() != 3 {
		t.Fatalf("%+v, %v", m, err)
	}
	if row, _ := m.Row(0); len(row) != 2 || row[0] != 1 || row[1] != 3 {
		t.Errorf("items %v", row)
	}
	for text, want := range map[string]string{
		"1 2\n3 x": `line 2: "x"`, "1 -2": `"-2"`, "1 10000000": "below 10000000", "5\n": "no pairs", "": "no pairs",
	} {
		if _, err := readPairs(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := ReadPairs(path + "x"); err == nil || !strings.Contains(err.Error(), "train.txtx") {
		t.Error(err)
	}
}

func FuzzReadPairs(f *testing.F) {
	f.Add("0 1 2\n1 2\n")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := readPairs(strings.NewReader(text))
		if err != nil {
			return
		}
		if err := m.Validate(); err != nil {
			t.Error(err)
		}
	})
}
