package tables

import (
	"encoding/json"
	"fmt"

	"vitrine/als/model"
	"vitrine/als/neighbors"
)

// A Set is sections of a container, under a common prefix. Every part but
// the first may be absent; all numbers are finite.
//
//	PREFIX/tables               JSON object: items, sessions, popular, trending
//	                            (counts, -1 for a part that is absent), similar,
//	                            transitions (bool), settings; at most 64 KiB
//	PREFIX/similar/start        items+1 int64, the first 0, never falling
//	PREFIX/similar/items        uint32, below items, as many as start ends with
//	PREFIX/similar/scores       float32 beside them
//	PREFIX/transitions/...      the same three
//	PREFIX/sessions/start       sessions+1 int64, like similar/start
//	PREFIX/sessions/items       uint32, below items: the sessions, oldest first
//	PREFIX/sessions/posting     items+1 int64, like similar/start
//	PREFIX/sessions/session     uint32, below sessions, rising per item
//	PREFIX/popular/items        uint32, below items
//	PREFIX/popular/scores       float32 beside them, never rising
//	PREFIX/trending/...         the same two
const maxHead = 64 << 10

// head is the JSON section of a Set.
type head struct {
	Items       int      `json:"items"`
	Similar     bool     `json:"similar"`
	Transitions bool     `json:"transitions"`
	Sessions    int      `json:"sessions"`
	Popular     int      `json:"popular"`
	Trending    int      `json:"trending"`
	Settings    Settings `json:"settings"`
}

// Sections returns t as sections of a container. They alias t.
func (t *Set) Sections(prefix string) ([]model.Section, error) {
	if err := t.Check(); err != nil {
		return nil, fmt.Errorf("encode %s: %w", prefix, err)
	}
	h := head{
		Items: t.Items, Similar: t.Similar != nil, Transitions: t.Transitions != nil,
		Sessions: -1, Popular: lengthOf(t.Popular), Trending: lengthOf(t.Trending), Settings: t.Settings,
	}
	if t.Sessions != nil {
		h.Sessions = t.Sessions.Sequences.Len()
	}
	raw, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", prefix, err)
	}
	out := []model.Section{{Name: prefix + "/tables", Data: raw}}
	for _, part := range []struct {
		name  string
		table *neighbors.Table
	}{{PartSimilar, t.Similar}, {PartTransitions, t.Transitions}} {
		if table := part.table; table != nil {
			at := prefix + "/" + part.name
			out = append(out, model.Int64s(at+"/start", table.Start), model.Uint32s(at+"/items", table.Items), model.Float32s(at+"/scores", table.Scores))
		}
	}
	if s := t.Sessions; s != nil {
		at := prefix + "/" + PartSessions
		out = append(out, model.Int64s(at+"/start", s.Start), model.Uint32s(at+"/items", s.Items),
			model.Int64s(at+"/posting", s.Posting), model.Uint32s(at+"/session", s.Session))
	}
	for _, part := range []struct {
		name string
		list *neighbors.Ranked
	}{{PartPopular, t.Popular}, {PartTrending, t.Trending}} {
		if part.list != nil {
			at := prefix + "/" + part.name
			out = append(out, model.Uint32s(at+"/items", part.list.Items), model.Float32s(at+"/scores", part.list.Scores))
		}
	}
	return out, nil
}

func lengthOf(r *neighbors.Ranked) int {
	if r == nil {
		return -1
	}
	return len(r.Items)
}

// FromSections reads tables back, nil where the file has none under the
// prefix. They alias the file's memory. What is wrong is a
// *model.CorruptError that names the section.
func FromSections(f *model.File, prefix string) (*Set, error) {
	raw, ok := f.Section(prefix + "/tables")
	if !ok {
		return nil, nil
	}
	if len(raw) > maxHead {
		return nil, f.Corrupt("section %s/tables has %d bytes, at most %d are allowed", prefix, len(raw), maxHead)
	}
	var h head
	if err := json.Unmarshal(raw, &h); err != nil {
		return nil, f.Corrupt("section %s/tables: %v", prefix, err)
	}
	// Counts beyond what rows are numbered by, before 1 is added to them.
	if most := 1<<32 - 1; h.Items < 0 || h.Items > most || h.Sessions > most {
		return nil, f.Corrupt("section %s/tables: impossible counts", prefix)
	}
	r := &reader{file: f, prefix: prefix}
	t := &Set{Items: h.Items, Settings: h.Settings}
	if h.Similar {
		t.Similar = r.table(PartSimilar, h.Items)
	}
	if h.Transitions {
		t.Transitions = r.table(PartTransitions, h.Items)
	}
	if h.Sessions >= 0 {
		t.Sessions = r.sessions(h.Sessions, h.Items)
	}
	if h.Popular >= 0 {
		t.Popular = r.ranked(PartPopular, h.Popular)
	}
	if h.Trending >= 0 {
		t.Trending = r.ranked(PartTrending, h.Trending)
	}
	if r.err != nil {
		return nil, r.err
	}
	if err := t.Check(); err != nil {
		return nil, f.Corrupt("section %s/%v", prefix, err)
	}
	return t, nil
}

// reader reads sections until the first error, which it keeps.
type reader struct {
	file   *model.File
	prefix string
	err    error
}

func (r *reader) int64s(name string, n int) (v []int64) {
	if r.err == nil {
		v, r.err = r.file.Int64s(r.prefix+"/"+name, n)
	}
	return v
}

func (r *reader) uint32s(name string, n int) (v []uint32) {
	if r.err == nil {
		v, r.err = r.file.Uint32s(r.prefix+"/"+name, n)
	}
	return v
}

func (r *reader) float32s(name string, n int) (v []float32) {
	if r.err == nil {
		v, r.err = r.file.Float32s(r.prefix+"/"+name, n)
	}
	return v
}

// starts reads row pointers, and returns what they end with: the number of
// entries, which the sections beside must have.
func (r *reader) starts(name string, rows int) (start []int64, entries int) {
	start = r.int64s(name, rows+1)
	if r.err == nil {
		entries = int(start[rows])
	}
	return start, entries
}

func (r *reader) table(name string, items int) *neighbors.Table {
	start, n := r.starts(name+"/start", items)
	return &neighbors.Table{Start: start, Items: r.uint32s(name+"/items", n), Scores: r.float32s(name+"/scores", n)}
}

func (r *reader) sessions(sessions, items int) *neighbors.Sessions {
	s := &neighbors.Sessions{}
	var n int
	s.Start, n = r.starts(PartSessions+"/start", sessions)
	s.Items = r.uint32s(PartSessions+"/items", n)
	s.Posting, n = r.starts(PartSessions+"/posting", items)
	s.Session = r.uint32s(PartSessions+"/session", n)
	return s
}

func (r *reader) ranked(name string, n int) *neighbors.Ranked {
	return &neighbors.Ranked{Items: r.uint32s(name+"/items", n), Scores: r.float32s(name+"/scores", n)}
}
