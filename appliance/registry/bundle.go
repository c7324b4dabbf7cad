// Package registry holds the trained versions: their bundle files, which of
// them is live, and the way back to the one before.
//
// It owns the folder of bundles (VERSION.bundle files and the pointer file
// "live") and the bundle's sections. It may import als/model, als/neighbors/tables
// and internal/logkey: it must not know events, the catalog or how a version
// is trained, evaluated or served.
//
//	r, err := registry.Open(dir, 0, log)
//	bundle, err := r.Publish("/path/of/a/finished.bundle")
//	r.Live().Model // never waits
package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"vitrine/als/model"
	"vitrine/als/neighbors/tables"
)

// Bundle is one trained version with all that serving it needs. It is never
// changed after Load.
type Bundle struct {
	// Version names it: 1..64 bytes of [A-Za-z0-9._-], beginning with a letter
	// or digit. Its file is VERSION.bundle.
	Version string
	// Parent is the version that was live when the training began, if any.
	Parent string
	// Created is when the training ended.
	Created time.Time
	// Position is the archive's log position the training data reached.
	Position uint64
	// Reference is the time of the newest training event in Unix milliseconds:
	// the moment that ages and half-lives are counted from.
	Reference int64
	// Measure is what the weights of the training data say, in the terms of
	// the part that weighs them: what is folded in must say the same. "" is
	// that part's default.
	Measure string
	// Options are what it was trained and measured with, by configuration key.
	Options map[string]any
	// Model is the published model, fitted on the whole window.
	Model *model.Model
	// Evaluated is the model the metrics were measured on; it has not seen the
	// test slice. Its rows are the first rows of Model. Nil if there is none,
	// and in the bundles of a Registry: serving has no use for it.
	Evaluated *model.Model
	// UserIDs and ItemIDs hold the id of every row of Model.
	UserIDs, ItemIDs []string
	// ItemWeight is the decayed popularity of every item row.
	ItemWeight []float32
	// Sources are the candidate sources beside Model, over its item rows; nil
	// where the version was trained without them.
	Sources *tables.Set
	// Metrics are the results of the evaluation, baselines included.
	Metrics []Metric
	// Gate is the verdict on publishing this version.
	Gate Gate
	// Users, Items and Interactions count the training data.
	Users, Items, Interactions int
	// Seconds is the time spent by part of the training.
	Seconds map[string]float64
}

// Metric is one result of the evaluation with its 95 % interval. NaN stands
// for a value or bound that was not measured.
type Metric struct {
	// Model is the model measured, such as "als" or "popularity".
	Model string
	// Name is the metric with its cut, such as "ndcg@10".
	Name string
	// Value is the mean; Lo and Hi are the ends of its interval.
	Value, Lo, Hi float64
}

// Gate is the verdict of the comparison that a version must win to go live.
type Gate struct {
	// Passed reports whether it may go live.
	Passed bool `json:"passed"`
	// Reason is a sentence for the operator.
	Reason string `json:"reason"`
}

// The sections of a bundle, in the container format of als/model:
//
//	bundle            JSON object, the fields of head below; at most 1 MiB
//	user_ids          string table, one id per user row of live
//	item_ids          string table, one id per item row of live
//	item_weight       float32 per item row, finite and >= 0: popularity
//	live/...          the published model (als/model, format.go)
//	evaluated/...     the evaluated model, absent if there is none
//	sources/...       the candidate sources beside the published model
//	                  (als/neighbors/tables, format.go), absent if there are none
const (
	sectionHead     = "bundle"
	sectionUsers    = "user_ids"
	sectionItems    = "item_ids"
	sectionWeight   = "item_weight"
	prefixLive      = "live"
	prefixEvaluated = "evaluated"
	prefixSources   = "sources"
	maxHead         = 1 << 20
	maxVersion      = 64
)

// head is the JSON section of a bundle.
type head struct {
	Version      string             `json:"version"`
	Parent       string             `json:"parent,omitempty"`
	Created      time.Time          `json:"created"`
	Position     uint64             `json:"position"`
	Reference    int64              `json:"reference_ms"`
	Measure      string             `json:"measure,omitempty"`
	Options      map[string]any     `json:"options,omitempty"`
	Evaluated    bool               `json:"evaluated"`
	Metrics      []Metric           `json:"metrics,omitempty"`
	Gate         Gate               `json:"gate"`
	Users        int                `json:"users"`
	Items        int                `json:"items"`
	Interactions int                `json:"interactions"`
	Seconds      map[string]float64 `json:"seconds,omitempty"`
}

// metric is Metric in JSON, which has no NaN: null stands for it.
type metric struct {
	Model string   `json:"model"`
	Name  string   `json:"name"`
	Value *float64 `json:"value"`
	Lo    *float64 `json:"lo"`
	Hi    *float64 `json:"hi"`
}

// MarshalJSON writes NaN as null.
func (m Metric) MarshalJSON() ([]byte, error) {
	return json.Marshal(metric{m.Model, m.Name, nullNaN(m.Value), nullNaN(m.Lo), nullNaN(m.Hi)})
}

// UnmarshalJSON reads null as NaN.
func (m *Metric) UnmarshalJSON(data []byte) error {
	var raw metric
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	*m = Metric{raw.Model, raw.Name, nanNull(raw.Value), nanNull(raw.Lo), nanNull(raw.Hi)}
	return nil
}

// Write stores b at path so that the file afterwards is complete and on disk,
// or was not touched.
func Write(path string, b *Bundle) error {
	if err := b.check(); err != nil {
		return fmt.Errorf("write bundle %s: %w", path, err)
	}
	sections, err := b.sections()
	if err != nil {
		return fmt.Errorf("write bundle %s: %w", path, err)
	}
	return model.WriteFile(path, sections)
}

// Load reads a bundle with both models. A file that is no intact bundle gives
// a *model.CorruptError.
func Load(path string) (*Bundle, error) {
	return load(path, func(string) bool { return true })
}

// loadServing is Load without what serving has no use for; that part is
// verified all the same.
func loadServing(path string) (*Bundle, error) {
	return load(path, func(name string) bool {
		return len(name) < len(prefixEvaluated) || name[:len(prefixEvaluated)] != prefixEvaluated
	})
}

func load(path string, want func(section string) bool) (*Bundle, error) {
	f, err := model.OpenSections(path, want)
	if err != nil {
		return nil, err
	}
	raw, ok := f.Section(sectionHead)
	if !ok {
		return nil, f.Corrupt("section %s is missing", sectionHead)
	}
	if len(raw) > maxHead {
		return nil, f.Corrupt("section %s has %d bytes, at most %d are allowed", sectionHead, len(raw), maxHead)
	}
	b, evaluated, err := decodeHead(raw)
	if err != nil {
		return nil, f.Corrupt("section %s: %v", sectionHead, err)
	}
	if b.Model, err = model.FromSections(f, prefixLive); err != nil {
		return nil, err
	}
	if evaluated && want(prefixEvaluated) {
		if b.Evaluated, err = model.FromSections(f, prefixEvaluated); err != nil {
			return nil, err
		}
	}
	if b.UserIDs, err = readIDs(f, sectionUsers, b.Model.NumUsers); err != nil {
		return nil, err
	}
	if b.ItemIDs, err = readIDs(f, sectionItems, b.Model.NumItems); err != nil {
		return nil, err
	}
	if b.ItemWeight, err = f.Float32s(sectionWeight, b.Model.NumItems); err != nil {
		return nil, err
	}
	if b.Sources, err = tables.FromSections(f, prefixSources); err != nil {
		return nil, err
	}
	if err := b.check(); err != nil {
		return nil, f.Corrupt("%v", err)
	}
	return b, nil
}

// check reports the first thing that makes b no usable bundle.
func (b *Bundle) check() error {
	switch {
	case !validVersion(b.Version):
		return fmt.Errorf("version %q is not 1..%d bytes of [A-Za-z0-9._-] beginning with a letter or digit", b.Version, maxVersion)
	case b.Parent != "" && !validVersion(b.Parent):
		return fmt.Errorf("parent %q is no valid version", b.Parent)
	case b.Model == nil:
		return errors.New("it has no model")
	}
	if err := b.Model.Check(); err != nil {
		return err
	}
	switch m := b.Model; {
	case len(b.UserIDs) != m.NumUsers:
		return fmt.Errorf("%d user ids for %d users", len(b.UserIDs), m.NumUsers)
	case len(b.ItemIDs) != m.NumItems:
		return fmt.Errorf("%d item ids for %d items", len(b.ItemIDs), m.NumItems)
	case len(b.ItemWeight) != m.NumItems:
		return fmt.Errorf("%d item weights for %d items", len(b.ItemWeight), m.NumItems)
	}
	for i, w := range b.ItemWeight {
		if !(w >= 0) || w > math.MaxFloat32 {
			return fmt.Errorf("weight of item %d is %g, it must be finite and not negative", i, w)
		}
	}
	if s := b.Sources; s != nil && s.Items != b.Model.NumItems {
		return fmt.Errorf("sources over %d items for %d", s.Items, b.Model.NumItems)
	}
	if e := b.Evaluated; e != nil {
		if err := e.Check(); err != nil {
			return fmt.Errorf("evaluated model: %w", err)
		}
		if e.NumUsers > b.Model.NumUsers || e.NumItems > b.Model.NumItems {
			return errors.New("the evaluated model has rows that the published one does not have")
		}
	}
	return nil
}

// sections lays b out; b has been checked.
func (b *Bundle) sections() ([]model.Section, error) {
	raw, err := b.encodeHead()
	if err != nil {
		return nil, err
	}
	users, err := encodeIDs(sectionUsers, b.UserIDs)
	if err != nil {
		return nil, err
	}
	items, err := encodeIDs(sectionItems, b.ItemIDs)
	if err != nil {
		return nil, err
	}
	// The small head comes first: listing versions then reads one place.
	out := []model.Section{{Name: sectionHead, Data: raw}, users, items, model.Float32s(sectionWeight, b.ItemWeight)}
	for _, part := range []struct {
		prefix string
		model  *model.Model
	}{{prefixLive, b.Model}, {prefixEvaluated, b.Evaluated}} {
		if part.model == nil {
			continue
		}
		sections, err := part.model.Sections(part.prefix)
		if err != nil {
			return nil, err
		}
		out = append(out, sections...)
	}
	if b.Sources == nil {
		return out, nil
	}
	sources, err := b.Sources.Sections(prefixSources)
	if err != nil {
		return nil, err
	}
	return append(out, sources...), nil
}

func (b *Bundle) encodeHead() ([]byte, error) {
	h := head{
		Version: b.Version, Parent: b.Parent, Created: b.Created.UTC(), Position: b.Position,
		Reference: b.Reference, Measure: b.Measure, Options: b.Options, Evaluated: b.Evaluated != nil, Metrics: b.Metrics, Gate: b.Gate,
		Users: b.Users, Items: b.Items, Interactions: b.Interactions, Seconds: b.Seconds,
	}
	raw, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encode head: %w", err)
	}
	if len(raw) > maxHead {
		return nil, fmt.Errorf("encode head: %d bytes, at most %d are allowed", len(raw), maxHead)
	}
	return raw, nil
}

// decodeHead fills a bundle with what the JSON section holds, and reports
// whether the file has an evaluated model.
func decodeHead(raw []byte) (*Bundle, bool, error) {
	var h head
	if err := json.Unmarshal(raw, &h); err != nil {
		return nil, false, err
	}
	b := &Bundle{
		Version: h.Version, Parent: h.Parent, Created: h.Created, Position: h.Position,
		Reference: h.Reference, Measure: h.Measure, Options: h.Options, Metrics: h.Metrics, Gate: h.Gate,
		Users: h.Users, Items: h.Items, Interactions: h.Interactions, Seconds: h.Seconds,
	}
	return b, h.Evaluated, nil
}

// nullNaN makes NaN and the infinities, which JSON cannot hold, nil.
func nullNaN(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

func nanNull(v *float64) float64 {
	if v == nil {
		return math.NaN()
	}
	return *v
}

// validVersion reports whether a version may become a file name.
func validVersion(v string) bool {
	if v == "" || len(v) > maxVersion {
		return false
	}
	for i := range len(v) {
		switch c := v[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case i > 0 && (c == '.' || c == '_' || c == '-'):
		default:
			return false
		}
	}
	return true
}
