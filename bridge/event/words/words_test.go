package words

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"
)

// TestWord holds it against a look at each byte, around the end of texts of any length.
func TestWord(t *testing.T) {
	all := []byte("abcdefghijklmnopqrstuvwxyz")
	for length := range len(all) {
		text := all[:length:length]
		for i := range length + 10 {
			var want [8]byte
			copy(want[:], text[min(i, length):])
			if got := Word(text, i); got != binary.LittleEndian.Uint64(want[:]) {
				t.Fatalf("%q at %d: %#x, want %q", text, i, got, want)
			}
		}
	}
}

// TestBlank looks for what is behind white space of any length and kind.
func TestBlank(t *testing.T) {
	for _, kind := range []string{" ", "\t", "\r\n", "      \n  ", "\v", ""} {
		for n := range 20 {
			for _, behind := range []string{"", "}", "\x00", "}         "} {
				text := strings.Repeat(kind, n) + behind
				want := len(text) - len(strings.TrimLeft(text, " \t\r\n"))
				if got := Blank([]byte("{"+text), 1); got != want+1 {
					t.Errorf("%q: %d, want %d", text, got-1, want)
				}
			}
		}
	}
}

// FuzzPlain holds it against a look at each byte.
func FuzzPlain(f *testing.F) {
	for _, s := range []string{"", "abc", "12345678\"", "12345678\x7f", "a\x80", "aaaa\x1f\x20\x21\"", "\x21\x20\x7f\x7e", "aaaaaaaaaaaaaaaa\\", "\xff\xff\xff\xff\xff\xff\xff\xff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		want := 0
		for want < len(data) && data[want] >= 0x20 && data[want] <= 0x7e && data[want] != '"' && data[want] != '\\' {
			want++
		}
		if got := Plain(data); got != want {
			t.Fatalf("%q: %d, want %d", data, got, want)
		}
	})
}

// FuzzDecimal holds both readers of numbers against the library's.
func FuzzDecimal(f *testing.F) {
	for _, s := range []string{
		"", "0", "00", "01", "7}", "19.5,", "0.1", "1760000000000", "123456789012345", "1234567890123456", "12345678901234567890123",
		"1.", ".5", "1.5e3", "1e3", "-0", "-12.25", "1e400", "99999999.9999999", "9007199254740993", "1.7976931348623157e308", "0.30000000000000004", "12345678.1234567",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, n := Decimal(data, 0)
		if n > 0 {
			if !json.Valid(data[:n]) {
				t.Fatalf("%q: %q is no number", data, data[:n])
			}
			if want, err := strconv.ParseFloat(string(data[:n]), 64); err != nil || v != want {
				t.Fatalf("%q: %v, want %v, %v", data, v, want, err)
			}
			if n < len(data) && (data[n]-'0' <= 9 || data[n]|0x20 == 'e') {
				t.Fatalf("%q goes on behind %q", data, data[:n])
			}
		}
		if !json.Valid(data) || len(data) == 0 || data[0] != '-' && data[0]-'0' > 9 {
			return
		}
		want, _ := strconv.ParseFloat(string(data), 64)
		if got := Float(data); math.Float64bits(got) != math.Float64bits(want) && data[len(data)-1]-'0' <= 9 {
			t.Fatalf("%q: %v, want %v", data, got, want)
		}
	})
}

// BenchmarkDecimal is a time in milliseconds: a word and five digits, some 4 ns.
func BenchmarkDecimal(b *testing.B) {
	text := []byte(`1760000000000,"event_id"`)
	for b.Loop() {
		if _, n := Decimal(text, 0); n != 13 {
			b.Fatal(n)
		}
	}
}

// BenchmarkPlain is an id: two words, some 2 ns.
func BenchmarkPlain(b *testing.B) {
	text := []byte(`user-0000001","item_id":"`)
	for b.Loop() {
		if n := Plain(text); n != 12 {
			b.Fatal(n)
		}
	}
}
