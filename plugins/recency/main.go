// Command recency gives every item a freshness, and raises fresh ones.
//
// Its feature reads the number "listed_at" of the items (Unix seconds) and
// writes the column "recency": 1 for an item listed now, 1/2 after half_days,
// 1/3 after twice that; absent for an item that does not say. Its scorer adds
// weight x recency x the score's size. Other plugins read the column with
// p.FeatureF32("recency"); weight = 0 leaves the scoring to them.
//
// Switch it on: make plugins, copy dist/plugins/recency.wasm and recency.toml
// into the plugins folder. Plugins that read the column need a file name behind
// recency.wasm in the alphabet.
package main

import (
	"errors"

	"vitrine/sdk"
)

const daySeconds = 24 * 60 * 60

var _ = sdk.Main(define)

func main() {}

func define(p *sdk.Plugin) {
	p.Describe("recency", "1.0.0", "gives items a freshness and raises fresh ones")
	listed := p.ItemF32("listed_at")
	written, fresh := p.WriteF32("recency"), p.FeatureF32("recency")
	half := p.Number("half_days", 30, "age in days at which an item is half as fresh")
	weight := p.Number("weight", 0.3, "share of its score that a new item gains")

	p.OnConfigure(func() error {
		if *half <= 0 {
			return errors.New("half_days must be above 0")
		}
		return nil
	})
	p.Feature(func(b *sdk.Batch) {
		now, span := float32(b.Now()/1000), float32(*half*daySeconds)
		out := written.Of(b)
		for i, at := range listed.Of(b) {
			out[i] = span / (span + max(now-at, 0)) // absent stays absent
		}
	})
	p.Scorer(func(b *sdk.Batch) {
		scores, share := b.Scores(), float32(*weight)
		for i, f := range fresh.Of(b) {
			if !sdk.IsAbsent(f) {
				scores[i] += share * f * max(scores[i], -scores[i])
			}
		}
	})
}
