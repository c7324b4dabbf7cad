package appliance

import (
	"vitrine/appliance/export"
	"vitrine/appliance/httpapi"
	"vitrine/appliance/recommend"
)

// What the exporter asks for at once is no more than a batch of the engine.
const _ uint = recommend.BatchSize - export.BatchSize

// exporter writes tables of what is in the parts, and everybody's lists.
func (a *Appliance) exporter() *export.Exporter {
	p := a.parts
	var listing func() func()
	if p.lists != nil {
		listing = p.lists.Beside
	}
	return export.New(export.Source{
		Listing: listing,
		Catalog: p.catalog, HasHistory: p.profile.Has, Archive: p.archive, Flush: p.follower.Flush, Now: a.now,
		Lists: a.answers.Patiently, Workers: a.answers.Turns(),
		Query: httpapi.Query{Limit: a.config.Recommend.Limit, ExcludeSeen: a.config.Recommend.ExcludeSeen},
		Factors: func() (export.Factors, bool) {
			live := p.registry.Live()
			if live == nil {
				return export.Factors{}, false
			}
			m := live.Model
			return export.Factors{Rank: m.Rank, UserIDs: live.UserIDs, ItemIDs: live.ItemIDs, Users: m.Users, Items: m.Items}, true
		},
	})
}
