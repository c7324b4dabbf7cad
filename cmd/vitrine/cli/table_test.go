package cli_test

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"vitrine/cmd/vitrine/cli"
)

func TestTables(t *testing.T) {
	const long = "better than popularity, and by far: what a gate has to say of a version takes more than the rest of a line"
	text := func(reason string) *cli.Table {
		table := cli.NewTextTable("NAME", "STATE", "REASON")
		table.Row("kuche", "live", reason)
		table.Row("Küche 2", "kept", "")
		return table
	}
	for _, c := range []struct {
		name  string
		table *cli.Table
		want  string
	}{
		{"beside the others", text("small"), "NAME     STATE  REASON\nkuche    live   small\nKüche 2  kept\n"},
		{
			"under its row", text(long),
			"NAME     STATE\n    REASON\nkuche    live\n    better than popularity, and by far: what a gate has to say of a version\n    takes more than the rest of a line\nKüche 2  kept\n",
		},
		{"a word longer than a line", text(strings.Repeat("x", 90)), "NAME     STATE\n    REASON\nkuche    live\n    " + strings.Repeat("x", 90) + "\nKüche 2  kept\n"},
	} {
		var out bytes.Buffer
		if err := c.table.Write(&out); err != nil || out.String() != c.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", c.name, err, out.String(), c.want)
		}
	}
	// Columns that are no text are not broken, however wide.
	wide := cli.NewTable("A", "B")
	wide.Row(strings.Repeat("a", 60), strings.Repeat("b", 60))
	var out bytes.Buffer
	if err := wide.Write(&out); err != nil || strings.Count(out.String(), "\n") != 2 {
		t.Errorf("%v: a wide table is\n%s", err, out.String())
	}
}

// TestWithoutTitles: the columns are those of the rows, and of no rows nothing is
// printed.
func TestWithoutTitles(t *testing.T) {
	var out bytes.Buffer
	var table cli.Table
	if err := table.Write(&out); err != nil || out.Len() != 0 {
		t.Errorf("%v: a table of nothing is %q", err, out.String())
	}
	table.Row("OK", "os", "Küche", "(any)")
	table.Row("LEAVE", "a.long.key", "-", "")
	want := "OK     os          Küche  (any)\nLEAVE  a.long.key  -\n"
	if err := table.Write(&out); err != nil || out.String() != want {
		t.Errorf("%v\n%s\nwant\n%s", err, out.String(), want)
	}
}

// TestTextsEndWithTheLine: from a text that just fits to one that does not, no
// line is wider than 80 characters.
func TestTextsEndWithTheLine(t *testing.T) {
	for n := 40; n < 200; n++ {
		table := cli.NewTextTable("NAME", "REASON")
		table.Row("x", strings.Repeat("éé ", n/3)+"end")
		var out bytes.Buffer
		if err := table.Write(&out); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			if utf8.RuneCountInString(line) > 81 {
				t.Fatalf("a text of %d makes the line %q", n, line)
			}
		}
	}
}

func TestPrintList(t *testing.T) {
	for _, c := range []struct {
		json bool
		list []string
		want string
	}{
		{true, []string{"a"}, "[\n  \"a\"\n]\n"},
		{true, []string{}, "[]\n"},
		{false, []string{}, "none at all\n"},
		{false, []string{"a"}, "NAME\na\n"},
	} {
		var out bytes.Buffer
		a := cli.App{Out: &out, JSON: c.json}
		table := cli.NewTable("NAME")
		for _, name := range c.list {
			table.Row(name)
		}
		if err := a.PrintList(c.list, "none at all", table); err != nil || out.String() != c.want {
			t.Errorf("%v: %v, %q", c, err, out.String())
		}
	}
}
