package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// A model is four sections of a container, under a common prefix:
//
//	PREFIX/model   JSON object: rank, users, items (counts), params (alpha0,
//	               lambda, nu, frequency_power; of explicit models also
//	               explicit, biases, mean, bias_lambda, absent when false or
//	               0); at most 64 KiB
//	PREFIX/users   users x rank float32, row-major
//	PREFIX/items   items x rank float32, row-major
//	PREFIX/scale   items float32, all >= 0: the frequency factor of every item
//
// All numbers are finite. Counts may be zero, rank is 1..4096.
const (
	maxRank = 4096
	maxMeta = 64 << 10
	// biasColumns are the columns of a row behind its factors; see Params.
	biasColumns = 2
)

// meta is the JSON section of a model.
type meta struct {
	Rank   int    `json:"rank"`
	Users  int    `json:"users"`
	Items  int    `json:"items"`
	Params Params `json:"params"`
}

// Check reports the first thing that makes m no usable model: slices that do
// not fit the counts, or parameters with which fold-in has no solution.
func (m *Model) Check() error {
	switch {
	case m.Rank < 1 || m.Rank > maxRank:
		return fmt.Errorf("rank %d is not within 1..%d", m.Rank, maxRank)
	case !fits(m.Users, m.NumUsers, m.Rank):
		return fmt.Errorf("%d user factors are not %d x %d", len(m.Users), m.NumUsers, m.Rank)
	case !fits(m.Items, m.NumItems, m.Rank):
		return fmt.Errorf("%d item factors are not %d x %d", len(m.Items), m.NumItems, m.Rank)
	case !fits(m.ItemScale, m.NumItems, 1):
		return fmt.Errorf("%d item scales for %d items", len(m.ItemScale), m.NumItems)
	}
	for i, s := range m.ItemScale {
		// 0 is an item that nobody touched; its factors are 0 too.
		if !(s >= 0) || s > math.MaxFloat32 {
			return fmt.Errorf("scale of item %d is %g, it must be 0 or more and finite", i, s)
		}
	}
	if m.Params.Biases && m.Rank <= biasColumns {
		return fmt.Errorf("rank %d leaves no factors beside the biases", m.Rank)
	}
	return m.Params.check()
}

// fits reports whether v is rows x columns, without multiplying counts that
// may come from a hostile file.
func fits(v []float32, rows, columns int) bool {
	return rows >= 0 && len(v)%columns == 0 && len(v)/columns == rows
}

func (p Params) check() error {
	for _, q := range []struct {
		name  string
		value float32
	}{{"alpha0", p.Alpha0}, {"lambda", p.Lambda}, {"nu", p.Nu}, {"bias_lambda", p.BiasLambda}, {"frequency_power", p.FrequencyPower}} {
		if !(q.value >= 0) || q.value > math.MaxFloat32 {
			return fmt.Errorf("%s is %g, it must be finite and not negative", q.name, q.value)
		}
	}
	if p.Mean-p.Mean != 0 {
		return fmt.Errorf("mean is %g, it must be finite", p.Mean)
	}
	if p.Biases && !p.Explicit {
		return errors.New("biases belong to explicit models")
	}
	return nil
}

// Sections returns m as sections of a container. They alias m.
func (m *Model) Sections(prefix string) ([]Section, error) {
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("encode %s: %w", prefix, err)
	}
	head, err := json.Marshal(meta{m.Rank, m.NumUsers, m.NumItems, m.Params})
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", prefix, err)
	}
	return []Section{
		{prefix + "/model", head},
		Float32s(prefix+"/users", m.Users),
		Float32s(prefix+"/items", m.Items),
		Float32s(prefix+"/scale", m.ItemScale),
	}, nil
}

// FromSections reads a model back. It aliases the file's memory.
func FromSections(f *File, prefix string) (*Model, error) {
	raw, ok := f.Section(prefix + "/model")
	if !ok {
		return nil, f.Corrupt("section %s/model is missing", prefix)
	}
	if len(raw) > maxMeta {
		return nil, f.Corrupt("section %s/model has %d bytes, at most %d are allowed", prefix, len(raw), maxMeta)
	}
	var head meta
	if err := json.Unmarshal(raw, &head); err != nil {
		return nil, f.Corrupt("section %s/model: %v", prefix, err)
	}
	if head.Rank < 1 || head.Rank > maxRank || head.Users < 0 || head.Items < 0 {
		return nil, f.Corrupt("section %s/model: impossible counts", prefix)
	}
	// A count beyond what any file holds must not wrap around when multiplied.
	if most := math.MaxInt / maxRank; head.Users > most || head.Items > most {
		return nil, f.Corrupt("section %s/model: impossible counts", prefix)
	}
	m := &Model{Rank: head.Rank, NumUsers: head.Users, NumItems: head.Items, Params: head.Params}
	var err error
	if m.Users, err = f.Float32s(prefix+"/users", m.NumUsers*m.Rank); err != nil {
		return nil, err
	}
	if m.Items, err = f.Float32s(prefix+"/items", m.NumItems*m.Rank); err != nil {
		return nil, err
	}
	if m.ItemScale, err = f.Float32s(prefix+"/scale", m.NumItems); err != nil {
		return nil, err
	}
	if err := m.Check(); err != nil {
		return nil, f.Corrupt("%s: %v", prefix, err)
	}
	return m, nil
}
