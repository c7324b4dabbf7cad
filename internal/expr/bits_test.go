package expr

import (
	"fmt"
	"strings"
	"testing"
)

// shopRows are values that agree and disagree with literals in every way.
func shopRows() []Value {
	return []Value{
		{},
		{Kind: String, Str: "a"},
		{Kind: String, Str: "7"},
		{Kind: String, Str: "7.0"},
		{Kind: String, Str: ""},
		{Kind: String, Str: "true"},
		{Kind: Number, Num: 7},
		{Kind: Number, Num: 0.5},
		{Kind: Bool, Bool: true},
		{Kind: Bool},
		{Kind: Set, Set: []string{"a", "b"}},
		{Kind: String, Str: "2026-02-01T00:00:00Z"},
		{Kind: String, Str: "2026-01-01"},
		{Kind: Number, Num: 1.9e12},
	}
}

// TestBits: many rows at once give what each gives by itself.
func TestBits(t *testing.T) {
	values := shopRows()
	for _, src := range []string{
		`x == "a"`, `!(x == "a")`, `x == 7 || y == 7`, `x == 7 && y == 7 || !(x in ["a", 7])`, `x == y`, `x < y && has(x)`,
		`true`, `!(true && x == 7)`, `x in y`, `"a" in x && y != 3`, `x == 7 && y == "a" && x != "7.0" && has(y)`,
		`x > timestamp("2026-01-15T00:00:00Z")`, `x.startsWith("7") || y.startsWith(x)`, `x == "a" || x == "b" || y == "a" || x == 7`,
	} {
		p, err := Compile(src)
		if err != nil {
			t.Fatal(src, err)
		}
		n := len(values) * len(values)
		value := func(row, slot int) Value {
			if p.Names()[slot] == "x" {
				return values[row%len(values)]
			}
			return values[row/len(values)]
		}
		bits := p.Bits((n+63)/64, func(dst []uint64, part *Part) {
			for row := range n {
				keep := part.Eval(func(slot int) Value { return value(row, slot) })
				if slots := part.Slots(); len(slots) == 1 && part.Test(value(row, slots[0])) != keep {
					t.Fatalf("%s: row %d: Test and Eval differ", src, row)
				}
				if keep {
					dst[row/64] |= 1 << (row % 64)
				}
			}
		})
		for row := range n {
			want := p.Eval(func(slot int) Value { return value(row, slot) })
			if got := bits[row/64]>>(row%64)&1 != 0; got != want {
				t.Errorf("%s: row %d: %v, by itself %v", src, row, got, want)
			}
		}
	}
}

// TestLongLists: a list that is looked up by hash means what a short one does.
func TestLongLists(t *testing.T) {
	literals := []string{`"a"`, `"7"`, `7`, `true`, `"7.0"`, `0.5`, `"true"`, `""`, `"2026-01-01"`, `false`}
	for _, l := range literals {
		short, err := Compile(`x in [` + l + `]`)
		if err != nil {
			t.Fatal(err)
		}
		long, err := Compile(`x in [` + l + strings.Repeat(`,"none"`, longList) + `]`)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range shopRows() {
			get := func(int) Value { return v }
			if a, b := short.Eval(get), long.Eval(get); a != b {
				t.Errorf("%+v in [%s]: %v, in a long list %v", v, l, a, b)
			}
		}
	}
}

func TestTimestamps(t *testing.T) {
	for src, want := range map[string]bool{
		`x >= timestamp("2026-02-01T00:00:00Z")`:            true,
		`x > timestamp("2026-02-01T01:00:00+01:00")`:        false,
		`x == timestamp("2026-02-01")`:                      true,
		`ms == timestamp("2026-02-01")`:                     true,
		`s == timestamp("2026-02-01")`:                      true,
		`s < timestamp("2026-02-01T00:00:01Z")`:             true,
		`before < timestamp("1970-01-01")`:                  true,
		`before > timestamp("1969-12-31T23:59:58.5Z")`:      true,
		`word < timestamp("2026-02-01")`:                    false,
		`timestamp("2026-01-31") < x`:                       true,
		`timestamp("2026-01-31") == "2026-01-31"`:           false,
		"`timestamp` == 1 || timestamp(\"2026-01-01\") < x": true,
	} {
		p, err := Compile(src)
		if err != nil {
			t.Fatal(src, err)
		}
		got := p.Eval(func(slot int) Value {
			switch p.Names()[slot] {
			case "x":
				return Value{Kind: String, Str: "2026-02-01T00:00:00Z"}
			case "ms":
				return Value{Kind: Number, Num: 1769904000000}
			case "s":
				return Value{Kind: Number, Num: 1769904000}
			case "before":
				return Value{Kind: Number, Num: -1}
			}
			return Value{Kind: String, Str: "2026-02-31"}
		})
		if got != want {
			t.Errorf("%s is %v", src, got)
		}
	}
	for _, src := range []string{`x < timestamp(2)`, `x < timestamp("soon")`, `timestamp("2026-01-01")`, `x < timestamp("2026-01-01"`} {
		if _, err := Compile(src); err == nil {
			t.Errorf("%s compiles", src)
		}
	}
}

// TestManyTerms: a thousand terms are taken, more are refused at their place,
// counted in characters.
func TestManyTerms(t *testing.T) {
	var b strings.Builder
	for j := range MaxTerms {
		fmt.Fprintf(&b, `é == %d || `, j)
	}
	if _, err := Compile(b.String() + `x == 1`); err == nil || !strings.Contains(err.Error(), "more than 1000 terms") {
		t.Errorf("%v", err)
	}
	if _, err := Compile(strings.TrimSuffix(b.String(), " || ")); err != nil {
		t.Error(err)
	}
	_, err := Compile(`é == "ü" && &`)
	if err == nil || !strings.HasPrefix(err.Error(), "at character 13:") {
		t.Errorf("%v", err)
	}
}
