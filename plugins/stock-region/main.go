// Command stock-region is a filter that keeps items which can be bought: their
// number "stock" is above 0 and, where the visitor has a text "region", their
// own "region" is the same or absent.
//
// Switch it on: make plugins, copy dist/plugins/stock-region.wasm and
// stock-region.toml into the plugins folder. Items without a stock count as
// sold out unless unknown_stock = true. on_error = "deny" in the TOML file shows
// nothing rather than something unfiltered when the plugin fails.
package main

import "vitrine/sdk"

var _ = sdk.Main(define)

func main() {}

func define(p *sdk.Plugin) {
	p.Describe("stock-region", "1.0.0", "keeps items in stock and of the visitor's region")
	stock, sold := p.ItemF32("stock"), p.ItemCode("region")
	lives := p.UserCode("region")
	unknown := p.Flag("unknown_stock", false, "keep items that have no stock attribute")

	p.Filter(func(b *sdk.Batch) {
		mask, regions, home := b.Mask(), sold.Of(b), lives.Of(b)
		for i, n := range stock.Of(b) {
			available := n > 0 || *unknown && sdk.IsAbsent(n)
			near := home == 0 || regions[i] == 0 || regions[i] == home
			if !available || !near {
				mask[i] = 0
			}
		}
	})
}
