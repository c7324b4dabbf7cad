package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// lineWidth is how wide a table may become for its texts: a terminal as it is
// opened. Columns of names and figures take what they need.
const lineWidth = 80

// Table is what a command that lists things prints: rows under titles, or without
// titles, as the zero value is. The last column may be a text in words, a reason or
// an explanation, which stands under its row, folded, where some row has no room
// for it beside the others.
type Table struct {
	head []string
	rows [][]string
	// text says that the last column is one.
	text bool
}

// NewTable makes a table with these titles.
func NewTable(head ...string) *Table { return &Table{head: head} }

// NewTextTable makes one whose last column is a text.
func NewTextTable(head ...string) *Table { return &Table{head: head, text: true} }

// Row adds a row: a cell for each title, without titles as many as the others have.
func (t *Table) Row(cells ...string) { t.rows = append(t.rows, cells) }

// PrintList prints a list: v under --json, in words where it is empty, else the
// table.
func (a *App) PrintList(v any, none string, t *Table) error {
	switch {
	case a.JSON:
		return a.PrintJSON(v)
	case len(t.rows) == 0:
		_, err := fmt.Fprintln(a.Out, none)
		return err
	}
	return t.Write(a.Out)
}

// Write prints the table.
func (t *Table) Write(w io.Writer) error {
	rows := t.rows
	if len(t.head) > 0 {
		rows = slices.Insert(slices.Clone(rows), 0, t.head)
	}
	if len(rows) == 0 {
		return nil
	}
	columns, wide := len(rows[0]), -2
	widths := make([]int, columns)
	for _, row := range rows {
		for c, cell := range row {
			widths[c] = max(widths[c], utf8.RuneCountInString(cell))
		}
	}
	for _, width := range widths {
		wide += width + 2
	}
	under := t.text && wide > lineWidth
	if under {
		columns--
	}
	var out strings.Builder
	for _, row := range rows {
		line(&out, row[:columns], widths)
		if under {
			fold(&out, row[columns])
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// line writes cells in their columns, without blanks at the end.
func line(out *strings.Builder, cells []string, widths []int) {
	var text strings.Builder
	for c, cell := range cells {
		fmt.Fprintf(&text, "%-*s  ", widths[c], cell)
	}
	out.WriteString(strings.TrimRight(text.String(), " ") + "\n")
}

// fold writes a text in lines that are indented.
func fold(out *strings.Builder, text string) {
	const indent = "    "
	at := 0
	for _, word := range strings.Fields(text) {
		width := utf8.RuneCountInString(word)
		switch {
		case at == 0:
			out.WriteString(indent)
			at = len(indent)
		case at+1+width > lineWidth:
			out.WriteString("\n" + indent)
			at = len(indent)
		default:
			out.WriteByte(' ')
			at++
		}
		out.WriteString(word)
		at += width
	}
	if at > 0 {
		out.WriteByte('\n')
	}
}
