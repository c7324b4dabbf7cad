// Command scorer is the guest that "vitrine bench plugins" measures: a scorer
// in plain Go that adds a weighted sum of 16 columns to every score, by
// sdk.Batch.AddWeighted or, configured so, by a loop per column of its own.
//
// Built by hand when the SDK changes, from this folder:
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -trimpath -ldflags="-s -w" -buildvcs=false -o scorer.wasm . && gzip -9 -n < scorer.wasm > ../../scorer.wasm.gz && rm scorer.wasm
package main

import "vitrine/sdk"

var _ = sdk.Main(define)

func main() {}

// columns is the number of columns read; their names are f0 to f15.
const columns = 16

func define(p *sdk.Plugin) {
	p.Describe("bench-scorer", "1.1.0", "adds a weighted sum of 16 columns")
	ownLoop := p.Flag("own_loop", false, "add column by column")
	var features [columns]sdk.Column[float32]
	var weights [columns]float32
	for i := range features {
		features[i] = p.ItemF32(name(i))
		weights[i] = float32(i+1) / columns
	}
	p.Scorer(func(b *sdk.Batch) {
		scores := b.Scores()
		if !*ownLoop {
			b.AddWeighted(scores, features[:], weights[:])
			return
		}
		for i, weight := range weights {
			column := features[i].Of(b)
			s := scores[:len(column)] // so that the loop needs no bounds checks
			for row, x := range column {
				s[row] += weight * x
			}
		}
	})
}

func name(i int) string {
	if i < 10 {
		return "f" + string(rune('0'+i))
	}
	return "f1" + string(rune('0'+i-10))
}
