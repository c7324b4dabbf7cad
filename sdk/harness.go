//go:build !wasip1

package sdk

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"unsafe"

	"vitrine/sdk/abi"
)

// Main registers the plugin when it is built as WebAssembly. In a native build
// it does nothing: tests make a Harness of the same define function.
func Main(func(p *Plugin)) struct{} { return struct{}{} }

// Harness runs a plugin natively, for tests. It goes through the host's steps,
// with its checks: manifest, configuration as JSON, frame layout, outputs. It
// exists in native builds only.
type Harness struct {
	// Logged are the plugin's log lines.
	Logged []string

	plugin *Plugin
	header *abi.Header
	before abi.Header // the header as the host wrote it
	mask   []uint8    // the mask as the host wrote it
	codes  map[string]uint32
}

// Rows is a made up request, column by column. All slices have one length.
type Rows struct {
	// Scores of the candidates, 1 each when nil; finite.
	Scores []float32
	// Items are the candidates' codes, 1, 2, 3 ... when nil.
	Items []uint32
	// Dropped marks candidates that an earlier filter dropped; may be nil.
	Dropped []bool
	// Item has the items' attributes by name: []float32 (Absent() where there
	// is none) or []string ("" where there is none).
	Item map[string]any
	// User has the visitor's attributes: float32, float64, int or string. A nil
	// map is an unknown visitor.
	User map[string]any
	// Feature has columns that features wrote: []float32, []int32 or []uint8.
	Feature map[string]any
	// Now is in Unix milliseconds.
	Now  int64
	Seed uint64
	Show int
}

// NewHarness starts a plugin with the operator's configuration; keys not given
// have their defaults. Texts given in texts exist before the plugin is
// configured, as they would in a shop that has them.
func NewHarness(define func(p *Plugin), config map[string]any, texts ...string) (*Harness, error) {
	h := &Harness{codes: map[string]uint32{}}
	for _, text := range texts {
		h.code(text)
	}
	h.plugin = newPlugin(define, h)
	m, err := h.Manifest()
	if err != nil {
		return nil, err
	}
	data, err := configJSON(m, config)
	if err != nil {
		return nil, err
	}
	buffer := h.plugin.buffer(len(data))
	copy(buffer, data)
	if code := h.plugin.setUp(buffer); code != abi.OK {
		return nil, fmt.Errorf("configure answers %d: %s", code, h.last())
	}
	return h, nil
}

// Manifest is what the plugin says about itself, read and checked as the host
// does.
func (h *Harness) Manifest() (*abi.Manifest, error) {
	m := new(abi.Manifest)
	if err := json.Unmarshal(h.plugin.described, m); err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("check manifest: %w", err)
	}
	return m, nil
}

// Score runs the scorer and returns the scores.
func (h *Harness) Score(r Rows) ([]float32, error) {
	if err := h.run(abi.Scorer, r); err != nil {
		return nil, err
	}
	return append([]float32(nil), h.plugin.batch.Scores()...), nil
}

// Filter runs the filter and returns which candidates it keeps.
func (h *Harness) Filter(r Rows) ([]bool, error) {
	if err := h.run(abi.Filter, r); err != nil {
		return nil, err
	}
	kept := make([]bool, h.plugin.batch.n)
	for i, m := range h.plugin.batch.Mask() {
		kept[i] = m == 1 && h.mask[i] == 1
	}
	return kept, nil
}

// Features runs the feature function and returns the columns it wrote, in the
// form that Rows.Feature takes.
func (h *Harness) Features(r Rows) (map[string]any, error) {
	if err := h.run(abi.Feature, r); err != nil {
		return nil, err
	}
	b, out := &h.plugin.batch, map[string]any{}
	for i, c := range h.plugin.manifest.Writes {
		at := b.offset(-1 - i)
		switch c.Type {
		case abi.I32:
			out[c.Name] = append([]int32(nil), rows[int32](b, at)...)
		case abi.U8:
			out[c.Name] = append([]uint8(nil), rows[uint8](b, at)...)
		default:
			out[c.Name] = append([]float32(nil), rows[float32](b, at)...)
		}
	}
	return out, nil
}

func (h *Harness) run(kind abi.Kind, r Rows) error {
	if err := h.Fill(kind, r); err != nil {
		return err
	}
	if code := h.Call(kind); code != abi.OK {
		return fmt.Errorf("%s answers %d: %s", kind, code, h.last())
	}
	return h.check(kind)
}

// Call runs one kind on the frame that Fill wrote, and nothing else: what a
// benchmark measures.
func (h *Harness) Call(kind abi.Kind) int32 { return h.plugin.call(kind, h.header) }

// Fill writes the request into the frame, as the host does before each call.
func (h *Harness) Fill(kind abi.Kind, r Rows) error {
	n, err := r.length()
	if err != nil {
		return err
	}
	if n > abi.MaxRows {
		return fmt.Errorf("%d rows are more than %d", n, abi.MaxRows)
	}
	if err := h.makeRoom(n); err != nil {
		return err
	}
	p, f := h.plugin, h.header
	f.N, f.Show, f.Kind, f.Now, f.Seed = uint32(n), uint32(r.Show), uint32(kind), r.Now, r.Seed
	f.Flags, f.User = 0, abi.NoUser
	if r.User != nil {
		f.Flags, f.User = abi.FlagUser, 1
	}
	h.before = *f
	b := &p.batch
	b.n = int(b.layout.Cap)
	items, scores, mask := b.Items(), b.Scores(), b.Mask()
	clear(items)
	clear(scores)
	clear(mask)
	for i := range n {
		items[i], scores[i], mask[i] = uint32(i+1), 1, 1
		if r.Dropped != nil && r.Dropped[i] {
			mask[i] = 0
		}
	}
	copy(items, r.Items)
	copy(scores, r.Scores)
	h.mask = append(h.mask[:0], mask...)
	for i, c := range p.manifest.Reads {
		if err := h.column(r, i, c, n); err != nil {
			return err
		}
	}
	return nil
}

// makeRoom reserves a frame of n rows and checks it, unless there is one.
func (h *Harness) makeRoom(n int) error {
	if h.header != nil && n <= int(h.header.Cap) {
		return nil
	}
	h.header = h.plugin.reserve(max(abi.Rows(n), abi.RowAlign))
	if h.header == nil {
		return errors.New("reserve has no memory")
	}
	// The layout is checked in a copy whose address is a multiple of 64 as an
	// address inside a guest's memory must be.
	frame := unsafe.Slice((*byte)(unsafe.Pointer(h.header)), h.header.Size)
	memory := append(make([]byte, abi.Align), frame...)
	_, err := abi.ReadLayout(memory, abi.Align, int(h.header.Cap), h.plugin.manifest.Columns())
	return err
}

// length is the number of rows, the same in every column.
func (r *Rows) length() (int, error) {
	n := -1
	var err error
	see := func(name string, length int) {
		if n >= 0 && length != n {
			err = fmt.Errorf("%s has %d rows, others %d", name, length, n)
		}
		n = length
	}
	if r.Scores != nil {
		see("Scores", len(r.Scores))
	}
	if r.Items != nil {
		see("Items", len(r.Items))
	}
	if r.Dropped != nil {
		see("Dropped", len(r.Dropped))
	}
	for _, columns := range []map[string]any{r.Item, r.Feature} {
		for name, values := range columns {
			switch v := values.(type) {
			case []float32:
				see(name, len(v))
			case []string:
				see(name, len(v))
			case []int32:
				see(name, len(v))
			case []uint8:
				see(name, len(v))
			default:
				return 0, fmt.Errorf("column %s is a %T", name, values)
			}
		}
	}
	return max(n, 0), err
}

// column writes column i of the table. What the request has under that name but
// of another type is absent, as it would be in the host.
func (h *Harness) column(r Rows, i int, c abi.Column, n int) error {
	b := &h.plugin.batch
	at := b.layout.Columns[i]
	if c.Scope == abi.ScopeUser {
		v := r.User[c.Name]
		place := unsafe.Add(unsafe.Pointer(b.header), at)
		if c.Type == abi.Code {
			text, _ := v.(string)
			*(*uint32)(place) = h.code(text)
			return nil
		}
		*(*float32)(place) = asNumber(v)
		return nil
	}
	from := r.Item
	if c.Scope == abi.ScopeFeature {
		from = r.Feature
	}
	switch c.Type {
	case abi.I32:
		v, _ := from[c.Name].([]int32)
		fill(rows[int32](b, at), v, n, 0)
	case abi.U8:
		v, _ := from[c.Name].([]uint8)
		fill(rows[uint8](b, at), v, n, 0)
	case abi.Code:
		texts, _ := from[c.Name].([]string)
		codes := make([]uint32, len(texts))
		for i, text := range texts {
			codes[i] = h.code(text)
		}
		fill(rows[uint32](b, at), codes, n, 0)
	default:
		v, _ := from[c.Name].([]float32)
		fill(rows[float32](b, at), v, n, Absent())
	}
	return nil
}

func fill[T value](dst, src []T, n int, absent T) {
	clear(dst)
	if src == nil {
		for i := range n {
			dst[i] = absent
		}
	}
	copy(dst, src)
}

func asNumber(v any) float32 {
	switch v := v.(type) {
	case float32:
		return v
	case float64:
		return float32(v)
	case int:
		return float32(v)
	}
	return Absent()
}

// check is what the host checks after a call.
func (h *Harness) check(kind abi.Kind) error {
	if *h.header != h.before {
		return errors.New("the plugin wrote into the frame's header")
	}
	b := &h.plugin.batch
	for i, m := range b.Mask() {
		if m > 1 {
			return fmt.Errorf("mask of row %d is %d", i, m)
		}
	}
	for i, s := range b.Scores() {
		if kind == abi.Scorer && h.mask[i] == 1 && (IsAbsent(s) || math.IsInf(float64(s), 0)) {
			return fmt.Errorf("score of row %d is %v", i, s)
		}
	}
	for i, c := range h.plugin.manifest.Writes {
		if kind != abi.Feature || c.Type != abi.F32 {
			continue
		}
		for row, v := range rows[float32](b, b.offset(-1-i)) {
			if math.IsInf(float64(v), 0) {
				return fmt.Errorf("%s of row %d is %v", c.Name, row, v)
			}
		}
	}
	return nil
}

// configJSON merges the operator's values over the defaults, as the host does.
func configJSON(m *abi.Manifest, config map[string]any) ([]byte, error) {
	all := map[string]any{}
	for _, k := range m.Config {
		all[k.Key] = k.Default
	}
	for key, v := range config {
		if _, known := all[key]; !known {
			return nil, fmt.Errorf("the plugin has no configuration key %q", key)
		}
		all[key] = v
	}
	for key, v := range all {
		if v == nil {
			return nil, fmt.Errorf("configuration key %q must be given", key)
		}
	}
	return json.Marshal(all)
}

func (h *Harness) log(_ int, text string) { h.Logged = append(h.Logged, text) }

func (h *Harness) dict(_ int, text string) uint32 { return h.codes[text] }

// code gives a text its code; the empty text is absent.
func (h *Harness) code(text string) uint32 {
	if text == "" {
		return 0
	}
	if _, known := h.codes[text]; !known {
		h.codes[text] = uint32(len(h.codes) + 1)
	}
	return h.codes[text]
}

func (h *Harness) last() string {
	if len(h.Logged) == 0 {
		return "nothing logged"
	}
	return h.Logged[len(h.Logged)-1]
}
