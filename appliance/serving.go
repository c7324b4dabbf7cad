package appliance

import (
	"context"
	"fmt"

	"vitrine/appliance/catalog"
	"vitrine/appliance/config"
	"vitrine/appliance/httpapi/entities"
	"vitrine/appliance/profile"
	"vitrine/appliance/recommend"
	"vitrine/appliance/recommend/view"
	"vitrine/appliance/registry"
	"vitrine/appliance/rulebook"
	"vitrine/appliance/served"
	"vitrine/appliance/upkeep"
	"vitrine/bridge/event"
)

// servedLog is the log of answered lists, beside the events.
func (a *Appliance) servedLog(book *rulebook.Book) *served.Log {
	p := a.parts
	return served.New(served.Options{
		Share: a.config.Recommend.LogShare, Rate: a.config.Recommend.LogRate, Erased: p.catalog.Erased,
		Rules: book.Version, Log: a.log,
		Submit: func(ctx context.Context, records []event.Record) error {
			_, err := p.pump.Submit(ctx, records)
			return err
		},
	})
}

// goLive makes a bundle the one that requests are answered with; configured
// weights take the place of its own.
func goLive(engine *recommend.Engine, shop *catalog.Catalog, b *registry.Bundle, c config.Recommend) error {
	codes := make([]uint32, len(b.ItemIDs))
	for row, id := range b.ItemIDs {
		codes[row] = shop.InternItem(id)
	}
	made, err := view.New(view.Spec{
		Version: b.Version, Created: b.Created, Reference: b.Reference, Model: b.Model, Codes: codes,
		Sources: b.Sources, Weights: c.Blend, New: c.New,
	})
	if err != nil {
		return fmt.Errorf("put model %s live: %w", b.Version, err)
	}
	engine.Swap(made)
	return nil
}

// items looks attributes up for the HTTP layer.
type items struct{ catalog *catalog.Catalog }

func (i items) Item(id string) (event.Item, bool) {
	code, ok := i.catalog.ItemCode(id)
	if !ok {
		return event.Item{}, false
	}
	return i.catalog.Item(code)
}

// Attributes appends those of an item to dst.
func (i items) Attributes(id string, dst []event.Attribute) []event.Attribute {
	if code, ok := i.catalog.ItemCode(id); ok {
		return i.catalog.Attributes(code, dst)
	}
	return dst
}

// Seen says whether there is anything of an item but that it was deleted.
func (i items) Seen(id string) bool {
	code, ok := i.catalog.ItemCode(id)
	return ok && !i.catalog.Deleted(code)
}

// users looks attributes and histories up for the HTTP layer.
type users struct {
	catalog  *catalog.Catalog
	profile  *profile.Store
	erasures *upkeep.Erasures
}

// Erased tells of the newest erasure: the list of those that were begun, or the
// catalog of one that was not.
func (u users) Erased(id string) (entities.Erasure, bool) {
	at, known := u.catalog.Erased(id)
	r, begun := u.erasures.Find(id)
	if !begun || r.ErasedAt < at {
		return entities.Erasure{At: at}, known
	}
	return entities.Erasure{
		At: r.ErasedAt, Done: r.DoneAt, Events: r.Events, Places: r.Places, Changes: r.Changes, Letters: r.Letters, Models: r.Models,
	}, true
}

// History appends the events that count of a user, newest first.
func (u users) History(id string, dst []entities.Past) []entities.Past {
	code, ok := u.catalog.UserCode(id)
	if !ok {
		return dst
	}
	for _, p := range u.profile.Recent(code, nil) {
		dst = append(dst, entities.Past{
			ItemID: u.catalog.ItemID(p.Item), Type: p.Type, Time: p.Time, Value: p.Value, HasValue: p.HasValue,
		})
	}
	return dst
}

func (u users) User(id string) (event.User, bool) {
	code, ok := u.catalog.UserCode(id)
	if !ok {
		return event.User{}, false
	}
	return u.catalog.User(code)
}
