package shape

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"vitrine/bridge/event/words"
)

// learn makes the shape of members of the fields 1, 2 and so on.
func learn(members ...string) *Shape {
	s := new(Shape)
	for n, raw := range members {
		s.Set(n, []byte(raw), uint8(n+1), Text|Number)
	}
	s.Set(len(members), []byte(" }"), End, 0)
	return s
}

// TestRead reads members up to what is not as it was, or not usual.
func TestRead(t *testing.T) {
	long := `,"` + strings.Repeat("n", 40) + `": `
	for _, tc := range []struct{ text, want string }{
		{`{"a":"x","b":12,"c":1.5` + long + `"twenty characters, 20" }`, `1"x" 2=12 3=1.5 4"twenty characters, 20" end at 93`},
		{`{"a":"","b":0,"c":"12345678"` + long + `7 }  `, `1"" 2=0 3"12345678" 4=7 end at 76`},
		{"{\"a\":\"\",\"b\":0,\"c\":1" + long + "7         \r\n\t          }", `1"" 2=0 3=1 4=7 end at 88`},
		{`{"a":"x","b":12,"c":null` + long + `1 }`, `1"x" 2=12 stop at 15`},
		{`{"a":"x","b":-1`, `1"x" stop at 8`},
		{`{"a":"x","b":`, `1"x" stop at 8`},
		{`{"a":"x`, `stop at 1`},
		{`{"a":"x\n","b":1`, `stop at 1`},
		{"{\"a\":\"\u00e9\",\"b\":1", `stop at 1`},
		{`{"a":"x", "b":1`, `1"x" stop at 8`},
		{`{"a":"x" }`, `1"x" stop at 8`},
		{`{}`, `stop at 1`},
		{`{`, `stop at 1`},
	} {
		s := learn(`"a":`, `,"b":`, `,"c":`, long)
		if got := read(s, []byte(tc.text), 0); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.text, got, tc.want)
		}
	}
	s := learn(`"a":`, `,"b":`)
	if got := read(s, []byte(`x,"b":3 }`), 1); got != `2=3 end at 9` {
		t.Errorf("from the second member on: %s", got)
	}
	s.Set(1, []byte(strings.Repeat(" ", maxMember+1)), 9, Text|Number)
	s.Set(Max, []byte(`"z":`), 9, Text|Number)
	if got := read(s, []byte(`{"a":1,"b":3 }`), 0); got != `1=1 2=3 end at 14` {
		t.Errorf("behind what is not remembered: %s", got)
	}
	if got := read(new(Shape), []byte(`{"a":1 }`), 0); got != `stop at 1` {
		t.Errorf("without a memory: %s", got)
	}
}

// read tells in words what s reads of text, whose first byte is passed over.
func read(s *Shape, text []byte, n int) string {
	var out strings.Builder
	found := s.Read(text, 1, n)
	for field, v := range found.Values {
		switch bit := uint16(1) << field; {
		case found.Texts&bit != 0:
			fmt.Fprintf(&out, "%d%q ", field, text[v.From:v.To])
		case found.Numbers&bit != 0:
			fmt.Fprintf(&out, "%d=%v ", field, v.Number)
		}
	}
	if found.End {
		fmt.Fprint(&out, "end ")
	} else {
		fmt.Fprint(&out, "stop ")
	}
	fmt.Fprint(&out, "at ", found.Next)
	return out.String()
}

// TestKinds reads values of the kinds that members take, and counts.
func TestKinds(t *testing.T) {
	s := new(Shape)
	fields := []uint8{0, 1, 2, 3, 0, 5, 6, 7}
	for n, takes := range []Kinds{Text | Number, Text, Number, Text | Number, Whole | Null, Null, Text | Whole, 0} {
		s.Set(n, fmt.Appendf(nil, `,"%d":`, n), fields[n], takes)
	}
	for _, tc := range []struct {
		text             string
		texts, numbers   uint16
		members, unknown int
	}{
		{`,"0":"","1":"","2":5,"3":7,"4":8,"5":null,"6":9,"7":""`, 0b1100011, 0b1100, 7, 2},
		{`,"0":"","1":"","2":5,"3":7,"4":null,"5":8,"6":9`, 0b11, 0b1100, 5, 2},
		{`,"0":"","1":"","2":5,"3":7,"4":8.0,"5":null`, 0b11, 0b1100, 4, 1},
		{`,"0":"","1":"","2":5,"3":7,"4":8,"5":null,"6":null`, 0b100011, 0b1100, 6, 2},
		{`,"0":5,"1":5,"2":5`, 0, 1, 1, 1},
		{`,"0":"a","1":"b","2":"c"`, 0b11, 0, 2, 1},
		{`,"0":"a","1":null`, 1, 0, 1, 1},
	} {
		found := s.Read([]byte(tc.text), 0, 0)
		if found.Texts != tc.texts || found.Numbers != tc.numbers || found.Members != tc.members || found.Unknown != tc.unknown {
			t.Errorf("%s: texts %b, numbers %b, %d members, %d unknown", tc.text, found.Texts, found.Numbers, found.Members, found.Unknown)
		}
	}
	// What is behind the text is not zeros, which a word there has.
	s.Set(0, make([]byte, 8), 1, Whole)
	if found := s.Read([]byte("{")[:1:1], 1, 0); found.Members != 0 || found.Next != 1 {
		t.Errorf("zeros behind the text: %d members, next at %d", found.Members, found.Next)
	}
}

// TestTwice has a field in two members: it is read of the one that was set last, so
// that no value hides one before it.
func TestTwice(t *testing.T) {
	s := learn(`"a":`, `,"b":`)
	text := []byte(`{"a":5,"b":6,"a":7 }`)
	for i, step := range []struct {
		n    int
		raw  string
		want string
	}{
		{2, `,"a":`, `stop at 1`},
		{0, `"a":`, `1=5 2=6 stop at 12`},
		{2, `,"c":`, `stop at 1`},
		{0, `"b":`, `stop at 1`},
		{0, `"a":`, `1=5 2=6 stop at 12`},
	} {
		s.Set(step.n, []byte(step.raw), 1, Text|Number)
		if got := read(s, text, 0); got != step.want {
			t.Errorf("step %d: %s, want %s", i, got, step.want)
		}
	}
}

// FuzzRead checks that what is read lies within the text and is plain, whatever was
// remembered before.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`"a":`), []byte(`,"b":`), []byte(`{"a":"x","b":12 }`))
	f.Add([]byte(`"a":`), []byte(`,"b":`), []byte(`{"a":5,"b":null }`))
	f.Add([]byte("\x00\x00\x00"), []byte("\x00\x00"), []byte(`{`))
	f.Fuzz(func(t *testing.T, one, two, text []byte) {
		s := learn(string(one), string(two))
		s.Set(1, two, 2, Text|Whole|Null)
		if len(text) == 0 {
			return
		}
		found := s.Read(text, 1, 0)
		if found.Next < 1 || found.Next > len(text) {
			t.Fatalf("%q: next is %d", text, found.Next)
		}
		for field, v := range found.Values {
			if found.Texts>>field&1 == 0 {
				continue
			}
			_, digits := words.Decimal(text, v.From)
			quoted := text[v.From-1] == '"' && v.To < len(text) && text[v.To] == '"'
			null := v.To == v.From && bytes.HasPrefix(text[v.From:], []byte("null"))
			if words.Plain(text[v.From:v.To]) != v.To-v.From || !quoted && !null && digits != v.To-v.From {
				t.Fatalf("%q: %q is no plain string, whole number or null", text, text[v.From:v.To])
			}
		}
	})
}

// TestOdd holds the mark against Plain, byte by byte.
func TestOdd(t *testing.T) {
	for c := range 256 {
		text := []byte("abcdefgh")
		text[5] = byte(c)
		mark := words.Odd(binary.LittleEndian.Uint64(text))
		if plain := words.Plain(text) == len(text); plain != (mark == 0) {
			t.Errorf("byte %#x: mark %#x", c, mark)
		}
	}
}
