package sandbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"unsafe"

	"vitrine/appliance/frame"
	"vitrine/sdk/abi"
)

// maxScore bounds the scores that a plugin may return, either side of zero.
const maxScore = 1e15

// absentBits is the f32 of an absent value.
const absentBits = 0x7fc00000

var errFrame = errors.New("frame is outside the memory")

// Stage is one kind of one version in a pipeline, with its columns resolved.
type Stage struct {
	version *Version
	kind    abi.Kind
	reads   []source
	// writes are the slots of the scratch that a feature fills.
	writes []int
}

// source is where the values of a column that is read come from.
type source struct {
	column  abi.Column
	catalog frame.Columns
	// found is the catalog's column once it exists.
	found atomic.Pointer[frame.Column]
	// slot is that of the feature, or -1.
	slot int
	// trial makes the values up.
	trial bool
}

// NewStage resolves the columns of one kind of a version; slots has the slot
// of each feature column that active plugins write.
func NewStage(v *Version, k abi.Kind, slots map[abi.Column]int) *Stage {
	st := &Stage{version: v, kind: k}
	st.reads = make([]source, len(v.manifest.Reads))
	for i, c := range v.manifest.Reads {
		s := &st.reads[i]
		s.column, s.catalog, s.slot = c, v.spec.Columns, -1
		if slot, ok := slots[c]; ok && c.Scope == abi.ScopeFeature {
			s.slot = slot
		}
	}
	if k == abi.Feature {
		for i, c := range v.manifest.Writes {
			slot, ok := slots[c]
			if !ok { // a trial has no pipeline
				slot = i
			}
			st.writes = append(st.writes, slot)
		}
	}
	return st
}

// Scratch is the memory of one request.
type Scratch struct {
	// features has a column per slot, in units of four bytes; filled says
	// which of them were written in this request.
	features [][]uint32
	filled   []bool
	// scores and mask gather the results of a batch that is split, so that a
	// failure in a later part takes nothing half-way.
	scores []float32
	mask   []bool
	user   [1]uint32
}

// Prepare empties it for a request of so many rows and feature columns.
func (r *Scratch) Prepare(rows, slots int) {
	r.features = resize(r.features, slots)
	r.filled = resize(r.filled, slots)
	clear(r.filled)
	for i := range r.features {
		r.features[i] = resize(r.features[i], rows)
	}
	r.scores, r.mask = resize(r.scores, rows), resize(r.mask, rows)
}

func resize[T any](s []T, n int) []T {
	return slices.Grow(s[:0], n)[:n]
}

// span is the part of a batch that goes into one call, and its budget. The
// instance has room for it.
type span struct {
	from, to int
	fuel     int64
}

// guestError is a negative return code: the call failed, the instance lives.
type guestError int32

func (e guestError) Error() string {
	switch int32(e) {
	case abi.BadConfig:
		return "returned -2 (bad configuration)"
	case abi.NotReady:
		return "returned -3 (not ready)"
	case abi.NoSuchKind:
		return "returned -4 (no such kind)"
	}
	return fmt.Sprintf("returned %d", int32(e))
}

// outputError is a result that cannot be used.
type outputError struct {
	what string
	row  int
	bits float64
}

func (e *outputError) Error() string { return fmt.Sprintf("%s of row %d is %v", e.what, e.row, e.bits) }

// chunk makes one call: the frame into the guest's memory, the guest, and its
// results into the scratch. Nothing of it allocates while all goes well.
func (st *Stage) chunk(in *instance, r *Scratch, f *frame.Frame, s span) error {
	view, ok := in.memory.Read(in.frame, in.layout.Size)
	if !ok {
		return errFrame
	}
	st.write(in, view, r, f, s)
	in.now, in.random = f.Now, f.Seed
	in.stack[0] = uint64(in.frame)
	err := in.run(in.kinds[st.kind], s.fuel)
	in.now, in.random = 0, 0
	if err != nil {
		return err
	}
	if code := int32(in.stack[0]); code < 0 {
		return guestError(code)
	}
	// The guest may have grown its memory: the view is another one now.
	if view, ok = in.memory.Read(in.frame, in.layout.Size); !ok {
		return errFrame
	}
	switch st.kind {
	case abi.Feature:
		return st.readFeatures(in, view, r, s)
	case abi.Scorer:
		return readScores(column32(view, in.layout.Score, s.to-s.from), f.Mask[s.from:s.to], r.scores[s.from:s.to])
	}
	return readMask(view[in.layout.Mask:][:s.to-s.from], f.Mask[s.from:s.to], r.mask[s.from:s.to])
}

// write fills in the host's part of the frame.
func (st *Stage) write(in *instance, view []byte, r *Scratch, f *frame.Frame, s span) {
	n := s.to - s.from
	rows := abi.Rows(n)
	le := binary.LittleEndian
	le.PutUint32(view[abi.OffN:], uint32(n))
	le.PutUint32(view[abi.OffShow:], 0)
	le.PutUint32(view[abi.OffKind:], uint32(st.kind))
	flags := uint32(0)
	if f.User != frame.NoUser {
		flags = abi.FlagUser
	}
	le.PutUint32(view[abi.OffFlags:], flags)
	le.PutUint64(view[abi.OffNow:], uint64(f.Now))
	le.PutUint64(view[abi.OffSeed:], f.Seed)
	le.PutUint32(view[abi.OffUser:], f.User)
	le.PutUint32(view[abi.OffScene:], 0)

	items := column32(view, in.layout.Item, rows)
	clear(items[copy(items, f.Items[s.from:s.to]):])
	scores := floats(column32(view, in.layout.Score, rows))
	clear(scores[copy(scores, f.Scores[s.from:s.to]):])
	mask := view[in.layout.Mask:][:rows]
	clear(mask[copy(mask, boolBytes(f.Mask[s.from:s.to])):])
	for i := range st.reads {
		st.reads[i].fill(view[in.layout.Columns[i]:], r, f, s)
	}
}

// fill writes the values of one column: those of the rows, zero bytes up to
// the padded length.
func (c *source) fill(dst []byte, r *Scratch, f *frame.Frame, s span) {
	n := s.to - s.from
	if c.column.Scope == abi.ScopeUser {
		value := column32(dst, 0, 1)
		value[0] = c.absent()
		if column := c.lookUp(); column != nil && f.User != frame.NoUser {
			r.user[0] = f.User
			column.Gather(value, r.user[:])
		}
		return
	}
	size, rows := c.column.Type.Size(), abi.Rows(n)
	clear(dst[n*size : rows*size])
	switch {
	case c.trial:
		c.makeUp(dst, n)
	case c.slot >= 0 && r.filled[c.slot]:
		copy(dst[:n*size], asBytes(r.features[c.slot])[s.from*size:])
	case c.column.Scope == abi.ScopeItem:
		if column := c.lookUp(); column != nil {
			column.Gather(column32(dst, 0, n), f.Items[s.from:s.to])
			return
		}
		fallthrough
	default:
		if c.column.Type != abi.F32 {
			clear(dst[:n*size])
			return
		}
		for i, values := 0, column32(dst, 0, n); i < n; i++ {
			values[i] = absentBits
		}
	}
}

func (c *source) absent() uint32 {
	if c.column.Type == abi.F32 {
		return absentBits
	}
	return 0
}

// makeUp writes values for a trial call: 1, 2, 3 ... in the column's type.
func (c *source) makeUp(dst []byte, n int) {
	for i := range n {
		switch c.column.Type {
		case abi.U8:
			dst[i] = byte(i & 1)
		case abi.F32:
			binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(float32(i+1)))
		default:
			binary.LittleEndian.PutUint32(dst[4*i:], uint32(i+1))
		}
	}
}

// lookUp finds the catalog's column. A column of the other kind than the
// plugin reads counts as absent.
func (c *source) lookUp() frame.Column {
	if found := c.found.Load(); found != nil {
		return *found
	}
	if c.catalog == nil || c.trial {
		return nil
	}
	column := c.catalog.Column(frame.Scope(c.column.Scope), c.column.Name)
	if column == nil || (column.Kind() == frame.Text) != (c.column.Type == abi.Code) {
		return nil
	}
	c.found.Store(&column)
	return column
}

// readFeatures keeps the columns that a feature wrote.
func (st *Stage) readFeatures(in *instance, view []byte, r *Scratch, s span) error {
	n := s.to - s.from
	reads := len(st.version.manifest.Reads)
	for i, c := range st.version.manifest.Writes {
		at := in.layout.Columns[reads+i]
		if c.Type == abi.F32 {
			for row, x := range floats(column32(view, at, n)) {
				if math.IsInf(float64(x), 0) {
					return &outputError{"feature " + c.Name, row, float64(x)}
				}
			}
		}
		size := c.Type.Size()
		copy(asBytes(r.features[st.writes[i]])[s.from*size:s.to*size], view[at:])
	}
	return nil
}

// readScores takes the scores of the rows that are still in.
func readScores(raw []uint32, mask []bool, dst []float32) error {
	scores := floats(raw)
	for i, x := range scores {
		// NaN fails both comparisons.
		if !(x >= -maxScore && x <= maxScore) && mask[i] {
			return &outputError{"score", i, float64(x)}
		}
	}
	copy(dst, scores)
	return nil
}

// readMask takes what is kept of the rows that are still in.
func readMask(raw []byte, mask, dst []bool) error {
	for i, m := range raw {
		if m > 1 && mask[i] {
			return &outputError{"mask", i, float64(m)}
		}
		dst[i] = m == 1 && mask[i]
	}
	return nil
}

// column32 is a view of n values at an offset. Frames lie at multiples of 64
// in page-aligned memory, and columns at multiples of 64 in them.
func column32(b []byte, offset uint32, n int) []uint32 {
	part := b[offset:][:4*n]
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(part))), n)
}

func floats(bits []uint32) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(bits))), len(bits))
}

func asBytes(words []uint32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), 4*len(words))
}

// boolBytes is a mask as bytes: Go keeps a bool as a byte of 0 or 1.
func boolBytes(mask []bool) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(mask))), len(mask))
}
