// Command house-brand raises the items of some brands: the example of
// docs/PLUGINS.md.
package main

import "vitrine/sdk"

var _ = sdk.Main(define)

func main() {}

func define(p *sdk.Plugin) {
	p.Describe("house-brand", "1.0.0", "raises items of the house's brands")
	brand := p.ItemCode("brand")
	names := p.Texts("brands", nil, "the house's brands")
	boost := p.Number("boost", 0.2, "what such an item's score gains")
	p.Required("brands")

	codes := []uint32{}
	p.OnConfigure(func() error {
		codes = codes[:0]
		for _, name := range *names {
			if c := p.Code(brand, name); c != 0 { // 0: no item has it yet
				codes = append(codes, c)
			}
		}
		return nil
	})
	p.Scorer(func(b *sdk.Batch) {
		scores, gain := b.Scores(), float32(*boost)
		for i, is := range brand.Of(b) {
			for _, house := range codes {
				if is == house {
					scores[i] += gain
				}
			}
		}
	})
}
