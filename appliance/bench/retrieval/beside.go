package retrieval

import (
	"math"

	"vitrine/als/topk"
	"vitrine/appliance/bench/peers"
	"vitrine/appliance/bench/report"
)

// besideTop is the length of the lists that others are asked for.
const besideTop = 100

// Bars are how many times our processor time an exact search of another library
// is to take: query by query, and in a batch beside ours in a batch.
type Bars struct{ One, Batch float64 }

// Beside holds searches of other libraries over a profile against ours on one
// core, measured now.
func Beside(p *Profile, theirs *peers.Search, bars Bars, opt Options) []report.Figure {
	m := &measurement{p: p, opt: opt, ix: topk.New(p.Items, p.N, Rank)}
	one, batch := &way{ix: m.ix, k: besideTop}, &way{ix: m.ix, k: besideTop, batch: true}
	// The quickest counts: theirs is the mean of half a second's.
	best := map[*way]float64{one: math.Inf(1), batch: math.Inf(1)}
	for range 2 * opt.Repetitions {
		for w, us := range best {
			best[w] = min(us, m.time(len(p.Queries), func() { m.ask(w, p.Queries) }))
		}
	}
	name := "peers.search." + p.Name + "."
	out := []report.Figure{
		report.New(name+"ours", "us", report.Lower, best[one]),
		report.New(name+"ours_batch", "us", report.Lower, best[batch]),
	}
	for _, row := range theirs.Rows {
		ratio := report.New(name+row.Name+".cpu_ratio", "x", "", row.Micros/best[one])
		switch row.Name { // those that are exact, as ours is
		case "faiss_flat":
			ratio = report.New(ratio.Name, "x", report.Higher, row.Micros/best[one]).WithBar(bars.One)
		case "faiss_flat_batch":
			ratio = report.New(ratio.Name, "x", report.Higher, row.Micros/best[batch]).WithBar(bars.Batch)
		}
		out = append(out, ratio, report.New(name+row.Name+".cpu", "us", "", row.Micros), report.New(name+row.Name+".recall", "", "", row.Recall))
	}
	return out
}
