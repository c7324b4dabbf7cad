// Package demo makes a furniture shop that does not exist: items with names,
// brands and prices, and customers whose tastes show in what they look at and
// buy. It is what a new user fills an empty data folder with, so it must be
// small, quick, the same every time, and worth recommending from: popularity
// is skewed, and every customer prefers a few departments and styles.
//
// It owns nothing and must not import anything but bridge/event.
//
//	err := demo.Generate(demo.Config{}, putItem, postEvent)
package demo

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"strconv"
	"time"

	"vitrine/bridge/event"
)

// Defaults of a zero Config.
const (
	DefaultSeed      = 20101201
	DefaultCustomers = 5000
	DefaultItems     = 2000
	DefaultEvents    = 300_000
)

// Customer is the user id to show answers for: one with a history in every
// shop whose every customer comes at least once.
const Customer = "u1"

// days is how long the shop has been open at End.
const days = 90

// Config describes the shop. The same Config gives the same shop, byte for
// byte; but for the times, End does not matter.
type Config struct {
	// Seed picks one of many shops; default DefaultSeed.
	Seed int64
	// Customers, Items and Events are how many there are; defaults as above.
	// Customers beyond one for every few events stay without any.
	Customers, Items, Events int
	// End is the time before which all events lie; default today, 00:00 UTC.
	End time.Time
}

// withDefaults fills the zero fields and refuses what makes no shop.
func (c Config) withDefaults() (Config, error) {
	if c.Customers < 0 || c.Items < 0 || c.Events < 0 {
		return c, fmt.Errorf("make demo shop: %d customers, %d items, %d events: none may be negative", c.Customers, c.Items, c.Events)
	}
	if c.Seed == 0 {
		c.Seed = DefaultSeed
	}
	if c.Customers == 0 {
		c.Customers = DefaultCustomers
	}
	if c.Items == 0 {
		c.Items = DefaultItems
	}
	if c.Events == 0 {
		c.Events = DefaultEvents
	}
	if c.End.IsZero() {
		c.End = time.Now().UTC().Truncate(24 * time.Hour)
	}
	return c, nil
}

// Generate calls items with every item and then events with every event, in
// the order of their times. An error of either ends it and is returned. Every
// event has an event_id, so filling a store twice adds nothing. A nil function
// leaves its part out.
func Generate(cfg Config, items func(event.Item) error, events func(event.Event) error) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	s := newShop(cfg)
	if items != nil {
		for i := range s.products {
			if err := items(s.item(i)); err != nil {
				return err
			}
		}
	}
	if events == nil {
		return nil
	}
	visits := s.visits()
	write := s.eventWriter()
	for i := range visits {
		if err := events(write(i, &visits[i])); err != nil {
			return err
		}
	}
	return nil
}

// item is the record of a product.
func (s *shop) item(i int) event.Item {
	p := &s.products[i]
	d := &departments[p.department]
	text := func(v string) event.Value { return event.Value{Kind: event.String, Str: v} }
	number := func(v float64) event.Value { return event.Value{Kind: event.Number, Num: v} }
	return event.Item{
		ID:   itemID(i),
		Time: s.begin,
		Attributes: []event.Attribute{
			{Name: "brand", Value: text(p.brand)},
			{Name: "category", Value: text(d.name)},
			{Name: "material", Value: text(p.material)},
			{Name: "name", Value: text(p.name)},
			{Name: "price", Value: number(float64(p.cents) / 100)},
			{Name: "stock", Value: number(float64(p.stock))},
			{Name: "style", Value: text(styles[p.style].name)},
		},
	}
}

// eventWriter returns what makes the n-th event of a visit.
func (s *shop) eventWriter() func(n int, v *visit) event.Event {
	users, items := make([]string, s.cfg.Customers), make([]string, len(s.products))
	for i := range users {
		users[i] = "u" + strconv.Itoa(i+1)
	}
	for i := range items {
		items[i] = itemID(i)
	}
	prefix := fmt.Sprintf("demo-%08x-", s.fingerprint())
	return func(n int, v *visit) event.Event {
		e := event.Event{
			UserID: users[v.customer], ItemID: items[v.product], Type: v.action, Time: v.time,
			EventID: prefix + strconv.Itoa(n+1), SessionID: "s" + strconv.Itoa(int(v.session)+1),
		}
		if v.quantity > 0 {
			e.Value, e.HasValue = float64(v.quantity), true
			e.Price, e.HasPrice = float64(s.products[v.product].cents)/100, true
			e.Currency = "EUR"
		}
		return e
	}
}

// itemID names the product at an index.
func itemID(i int) string { return "i" + strconv.Itoa(i+1) }

// fingerprint tells shops of different configurations apart, so that their
// event ids do not meet. End is left out: the shop of tomorrow is the same.
func (s *shop) fingerprint() uint32 {
	h := fnv.New32a()
	for _, v := range []int{int(s.cfg.Seed), s.cfg.Customers, s.cfg.Items, s.cfg.Events} {
		_ = binary.Write(h, binary.LittleEndian, int64(v))
	}
	return h.Sum32()
}
