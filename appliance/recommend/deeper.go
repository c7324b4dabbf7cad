package recommend

import (
	"context"

	"vitrine/als/topk"
	"vitrine/appliance/frame"
)

// deep is the memory of a list that goes further down than plugins are shown
// at once.
type deep struct {
	// looked are the candidates that the largest round showed to the plugins,
	// passed those that they let pass, of all rounds.
	looked []uint32
	passed frame.Frame
	// hidden are the rows of all that they were shown, besides those that are no
	// candidates.
	hidden topk.Mask
	// hits are the next ones, of which those before at are candidates already,
	// and ahead is how many of them were looked up.
	hits      []topk.Hit
	at, ahead int
	code      uint32 // how far what no model knows has been gone through
}

// deepen goes on where the largest round of candidates leaves less than a page:
// further ones are shown to the plugins, so many at a time, and the rules
// arrange all that passed, until the page is full, the catalogue ends or there
// is no time. They come in the order of the factors, beside a blend with the
// score that it gives an item which no source names; then the others.
func (e *Engine) deepen(ctx context.Context, sc *scratch, resp *Response, q question) {
	d, f := &sc.deep, &sc.frame
	e.mark(sc)
	for _, code := range d.looked {
		setBit(sc.taken, code)
	}
	scale := float32(0)
	if q.reason == "" && q.rank == nil {
		scale = sc.factorScale(q.view, q)
		d.hidden.Copy(&sc.without)
		q.view.HideItems(&d.hidden, d.looked)
	}
	d.code, d.hits, d.at, d.ahead = 0, d.hits[:0], 0, maxCandidates
	for f.Len() < sc.limit && !denied(&resp.Plugins) && ctx.Err() == nil && !sc.hasten() {
		empty(f)
		if scale != 0 {
			e.further(sc, q, scale)
		}
		if f.Len() == 0 {
			scale = 0
			d.code = e.offerFrom(sc, d.code, maxCandidates, 0)
		}
		last := f.Len() == 0
		if !last {
			e.plug(ctx, sc, resp)
			add(&d.passed, f)
			empty(f)
		}
		add(f, &d.passed)
		sc.sort()
		e.arrange(sc, q)
		if last {
			return
		}
	}
}

// further makes candidates of the next best rows by the factors. A search for
// twice as many as before costs less than one search more, so it looks up more
// of them than plugins are shown at once.
func (e *Engine) further(sc *scratch, q question, scale float32) {
	d, v := &sc.deep, q.view
	if d.at == len(d.hits) {
		d.at, d.ahead = 0, 2*d.ahead
		if q.similar {
			d.hits = sc.alike(v, q, d.ahead, &d.hidden, d.hits)
			for _, hit := range d.hits {
				d.hidden.Hide(hit.Row)
			}
		} else {
			d.hits = v.Index.More(sc.vector, d.ahead, &d.hidden, d.hits[:0], &sc.search)
		}
	}
	next := d.hits[d.at:min(d.at+maxCandidates, len(d.hits))]
	d.at += len(next)
	for j := range next {
		next[j].Score *= scale
		setBit(sc.taken, v.Codes[next[j].Row])
	}
	e.accept(sc, v, next)
}

// empty takes the candidates out of a frame and leaves the rest of it.
func empty(f *frame.Frame) { f.Items, f.Scores, f.Mask = f.Items[:0], f.Scores[:0], f.Mask[:0] }

// add appends the candidates of another frame.
func add(f, more *frame.Frame) {
	f.Items, f.Scores, f.Mask = append(f.Items, more.Items...), append(f.Scores, more.Scores...), append(f.Mask, more.Mask...)
}
