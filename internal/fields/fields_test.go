package fields_test

import (
	"encoding/binary"
	"math"
	"testing"

	"vitrine/internal/fields"
)

// block holds a field of every kind.
func block() []byte {
	b := binary.AppendVarint(binary.AppendUvarint([]byte{7}, 300), -5)
	b = binary.LittleEndian.AppendUint32(b, 9)
	b = binary.LittleEndian.AppendUint64(b, 1<<40)
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(-1.5))
	return append(binary.AppendUvarint(b, 3), "abc"...)
}

// all is what a reader finds in it.
type all struct {
	b    byte
	u    uint64
	v    int64
	u32  uint32
	u64  uint64
	f    float64
	text string
}

func read(r *fields.Reader) all {
	return all{r.Byte(), r.Uvarint(), r.Varint(), r.Uint32(), r.Uint64(), r.Float(), string(r.Text())}
}

func TestReader(t *testing.T) {
	r := fields.Reader{Rest: block()}
	if got, want := read(&r), (all{7, 300, -5, 9, 1 << 40, -1.5, "abc"}); got != want || r.Bad || len(r.Rest) > 0 {
		t.Errorf("read %+v, bad %v, %d left; want %+v", got, r.Bad, len(r.Rest), want)
	}
}

// TestCutShort: wherever a block ends too early the reader is bad, and what is
// missing is zero.
func TestCutShort(t *testing.T) {
	for n := range block() {
		r := fields.Reader{Rest: block()[:n]}
		if got := read(&r); !r.Bad || len(r.Rest) > 0 || got.text != "" {
			t.Errorf("cut at %d: %+v, bad %v", n, got, r.Bad)
		}
	}
}

func TestWhatIsNoField(t *testing.T) {
	for name, c := range map[string]struct {
		block []byte
		read  func(r *fields.Reader)
	}{
		"a number without end": {[]byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1}, func(r *fields.Reader) { r.Uvarint() }},
		"not a number":         {binary.LittleEndian.AppendUint64(nil, math.Float64bits(math.NaN())), func(r *fields.Reader) { r.Float() }},
		"no finite number":     {binary.LittleEndian.AppendUint64(nil, math.Float64bits(math.Inf(-1))), func(r *fields.Reader) { r.Float() }},
		"a text longer than memory": {binary.AppendUvarint(nil, math.MaxUint64), func(r *fields.Reader) {
			if r.Text() != nil {
				t.Error("a text that is not there was read")
			}
		}},
	} {
		r := fields.Reader{Rest: c.block}
		if c.read(&r); !r.Bad {
			t.Errorf("%s was read", name)
		}
	}
}
