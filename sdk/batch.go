package sdk

import (
	"unsafe"

	"vitrine/sdk/abi"
)

// Batch is the candidates of one request: row i of every slice belongs to
// candidate i. The slices are views of the host's frame, good during the call
// only.
type Batch struct {
	header *abi.Header
	layout abi.Layout
	reads  int
	n      int
}

// Len is the number of candidates.
func (b *Batch) Len() int { return b.n }

// Items are the candidates' item codes. They do not survive a restart of the
// host.
func (b *Batch) Items() []uint32 { return rows[uint32](b, b.layout.Item) }

// Scores are the current scores, higher ranks first. A scorer changes them in
// place; they must stay finite.
func (b *Batch) Scores() []float32 { return rows[float32](b, b.layout.Score) }

// Mask is 1 for a candidate that is kept and 0 for one that is dropped. A
// filter may write it as well as call Drop.
func (b *Batch) Mask() []uint8 { return rows[uint8](b, b.layout.Mask) }

// Drop takes candidate i out of the answer. Filters only.
func (b *Batch) Drop(i int) { b.Mask()[i] = 0 }

// Now is the time of the request in Unix milliseconds.
func (b *Batch) Now() int64 { return b.header.Now }

// Seed is for choices at random: equal for all plugins of one request.
func (b *Batch) Seed() uint64 { return b.header.Seed }

// Show is how many items the answer will show; 0 when that is not known.
func (b *Batch) Show() int { return int(b.header.Show) }

// User is the visitor's code. It is false for a visitor never seen before.
func (b *Batch) User() (code uint32, known bool) {
	return b.header.User, b.header.Flags&abi.FlagUser != 0
}

// value is what a column can hold.
type value interface {
	float32 | int32 | uint8 | uint32
}

func rows[T value](b *Batch, offset uint32) []T {
	return unsafe.Slice((*T)(unsafe.Add(unsafe.Pointer(b.header), offset)), b.n)
}

// Column is a declared column with a value per candidate.
type Column[T value] struct{ index int }

// Of is the column's values in a batch.
func (c Column[T]) Of(b *Batch) []T { return rows[T](b, b.offset(c.index)) }

func (c Column[T]) tableIndex() int { return c.index }

// UserColumn is a declared column with one value, the visitor's.
type UserColumn[T value] struct{ index int }

// Of is the visitor's value: absent (or code 0) when he has none.
func (c UserColumn[T]) Of(b *Batch) T {
	return *(*T)(unsafe.Add(unsafe.Pointer(b.header), b.offset(c.index)))
}

func (c UserColumn[T]) tableIndex() int { return c.index }

// CodeColumn is a column of codes: Column[uint32] or UserColumn[uint32].
type CodeColumn interface{ tableIndex() int }

// offset is where a column lies. Columns written come after all those read in
// the table, and how many are read is not known while columns are declared: so
// their handles count downwards from -1.
func (b *Batch) offset(index int) uint32 {
	if index < 0 {
		index = b.reads - 1 - index
	}
	return b.layout.Columns[index]
}

// ItemF32 declares that the plugin reads a number (or truth value: 0, 1) of
// the items.
func (p *Plugin) ItemF32(name string) Column[float32] {
	return Column[float32]{p.read(name, abi.ScopeItem, abi.F32)}
}

// ItemCode declares that the plugin reads a text of the items, as codes: equal
// texts have equal codes, also across columns; 0 is absent.
func (p *Plugin) ItemCode(name string) Column[uint32] {
	return Column[uint32]{p.read(name, abi.ScopeItem, abi.Code)}
}

// UserF32 declares that the plugin reads a number of the visitor.
func (p *Plugin) UserF32(name string) UserColumn[float32] {
	return UserColumn[float32]{p.read(name, abi.ScopeUser, abi.F32)}
}

// UserCode declares that the plugin reads a text of the visitor, as a code.
func (p *Plugin) UserCode(name string) UserColumn[uint32] {
	return UserColumn[uint32]{p.read(name, abi.ScopeUser, abi.Code)}
}

// FeatureF32 declares that the plugin reads a column that a feature writes, of
// this plugin or another. It is absent while no active plugin writes it.
func (p *Plugin) FeatureF32(name string) Column[float32] {
	return Column[float32]{p.read(name, abi.ScopeFeature, abi.F32)}
}

// FeatureI32 is like FeatureF32 for whole numbers; 0 is absent.
func (p *Plugin) FeatureI32(name string) Column[int32] {
	return Column[int32]{p.read(name, abi.ScopeFeature, abi.I32)}
}

// FeatureU8 is like FeatureF32 for small numbers; 0 is absent.
func (p *Plugin) FeatureU8(name string) Column[uint8] {
	return Column[uint8]{p.read(name, abi.ScopeFeature, abi.U8)}
}

// WriteF32 declares a column that the plugin's feature function fills.
func (p *Plugin) WriteF32(name string) Column[float32] {
	return Column[float32]{p.write(name, abi.F32)}
}

// WriteI32 is like WriteF32 for whole numbers.
func (p *Plugin) WriteI32(name string) Column[int32] {
	return Column[int32]{p.write(name, abi.I32)}
}

// WriteU8 is like WriteF32 for small numbers.
func (p *Plugin) WriteU8(name string) Column[uint8] {
	return Column[uint8]{p.write(name, abi.U8)}
}

// read declares a column; one declared before keeps its place.
func (p *Plugin) read(name string, scope abi.Scope, t abi.Type) int {
	c := abi.Column{Name: name, Scope: scope, Type: t}
	for i, known := range p.manifest.Reads {
		if known == c {
			return i
		}
	}
	p.manifest.Reads = append(p.manifest.Reads, c)
	return len(p.manifest.Reads) - 1
}

func (p *Plugin) write(name string, t abi.Type) int {
	p.manifest.Writes = append(p.manifest.Writes, abi.Column{Name: name, Scope: abi.ScopeFeature, Type: t})
	return -len(p.manifest.Writes)
}
