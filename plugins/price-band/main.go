// Command price-band is a scorer that raises (or lowers) the items whose
// attribute "price" lies in a band.
//
// Switch it on: make plugins, copy dist/plugins/price-band.wasm and
// price-band.toml into the plugins folder, set the band under [config]. An
// item in the band gets its score plus boost times the score's size: 0.5 raises
// it by half, -0.5 lowers it by half. Items without a price are left alone.
package main

import (
	"errors"

	"vitrine/sdk"
)

var _ = sdk.Main(define)

func main() {}

func define(p *sdk.Plugin) {
	p.Describe("price-band", "1.0.0", "raises items in a price band")
	price := p.ItemF32("price")
	low := p.Number("low", 50, "lower edge of the band, included")
	high := p.Number("high", 500, "upper edge of the band, included")
	boost := p.Number("boost", 2, "share of its score that an item in the band gains")

	p.OnConfigure(func() error {
		if *low > *high {
			return errors.New("low is above high")
		}
		return nil
	})
	p.Scorer(func(b *sdk.Batch) {
		from, to, share := float32(*low), float32(*high), float32(*boost)
		scores := b.Scores()
		for i, x := range price.Of(b) {
			if x >= from && x <= to { // false where there is no price
				scores[i] += share * max(scores[i], -scores[i])
			}
		}
	})
}
