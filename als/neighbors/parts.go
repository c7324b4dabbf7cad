package neighbors

import "slices"

// Parts are what the parts of a blend say of the candidates of a query, each divided
// by its highest: what Rank adds up, before anything is weighed. The zero value is
// ready; it grows to what a query needs and is then reused.
type Parts struct {
	// Items are the candidates that may be shown.
	Items []uint32
	// Scores has a list beside Items for each of Blend.Sources, in order, and, where
	// there is a factor model, the last one for it. What a part does not name has 0.
	Scores [][]float32

	s Scratch
	// said holds what the sources say, one after another; source p's ends at
	// ends[p].
	said []scored
	ends []int
}

// scored is an item and what one source says of it.
type scored struct {
	item  uint32
	score float32
}

// NumParts is the number of sources, and one more where there is a factor model.
func (b *Blend) NumParts() int {
	if b.Factors != nil {
		return len(b.Sources) + 1
	}
	return len(b.Sources)
}

// Apply makes the parts weigh so much, in the order of Parts.Scores.
func (b *Blend) Apply(weights []float32) {
	for n := range b.Sources {
		b.Sources[n].Weight = weights[n]
	}
	if b.Factors != nil {
		b.FactorWeight = weights[len(b.Sources)]
	}
}

// Ask asks all parts of b, whatever they weigh. Every source is asked once: what it
// said waits until the candidates of all are known.
func (p *Parts) Ask(b *Blend, q *Query) {
	s := &p.s
	s.sum.Reset(b.Items)
	p.said, p.ends = p.said[:0], p.ends[:0]
	for _, w := range b.Sources {
		b.part(w.Source, q, s)
		factor := 1 / s.part.max(q)
		if factor-factor == 0 { // there is a positive score
			for _, item := range s.part.Items() {
				s.sum.Add(item, 0) // a candidate
				p.said = append(p.said, scored{item, factor * s.part.sums[item]})
			}
		}
		p.ends = append(p.ends, len(p.said))
	}
	highest := b.nearest(q, s)
	for _, hit := range s.hits {
		s.sum.Add(hit.Row, 0)
	}
	p.Items = p.Items[:0]
	s.part.Reset(b.Items) // from now on: where in Items an item stands
	for _, item := range s.sum.Items() {
		if q.shows(item) {
			s.part.Add(item, float32(len(p.Items)))
			p.Items = append(p.Items, item)
		}
	}
	parts := b.NumParts()
	p.Scores = slices.Grow(p.Scores[:0], parts)[:parts]
	for n := range p.Scores {
		p.Scores[n] = slices.Grow(p.Scores[n][:0], len(p.Items))[:len(p.Items)]
		clear(p.Scores[n])
	}
	from := 0
	for n, end := range p.ends {
		for _, c := range p.said[from:end] {
			if at, ok := s.part.Get(c.item); ok {
				p.Scores[n][int(at)] = c.score
			}
		}
		from = end
	}
	if highest > 0 {
		for n, item := range p.Items {
			p.Scores[len(b.Sources)][n] = b.Factors.score(q, item) / highest
		}
	}
}
