// Package demo makes a furniture shop that does not exist: items with names,
// brands and prices, and customers whose tastes show in what they look at and
// buy. It is what a new user fills an empty data folder with, so it must be
// small, quick, the same every time, and worth recommending from: popularity
// is skewed, and every customer prefers a few departments and styles. Items and
// customers carry what plugins like to look at: some items are out of stock,
// some are sold in one region only, some are new.
//
// It owns nothing and must not import anything but bridge/event.
//
//	err := demo.Fill(demo.Config{}, demo.Sink{Items: putItem, Users: putUser, Events: postEvent})
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

// Sink takes what the shop is made of. A nil function leaves its part out.
type Sink struct {
	Items  func(event.Item) error
	Users  func(event.User) error
	Events func(event.Event) error
}

// Fill gives the sink every item, then every user, then every event in the
// order of their times. An error of the sink ends it and is returned. Every
// event has an event_id, so filling a store twice adds nothing.
func Fill(cfg Config, to Sink) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	s := newShop(cfg)
	if to.Items != nil {
		for i := range s.products {
			if err := to.Items(s.item(i)); err != nil {
				return err
			}
		}
	}
	if to.Users != nil {
		for i := range s.customers {
			if err := to.Users(s.user(i)); err != nil {
				return err
			}
		}
	}
	if to.Events == nil {
		return nil
	}
	visits := s.visits()
	write := s.eventWriter()
	for i := range visits {
		if err := to.Events(write(i, &visits[i])); err != nil {
			return err
		}
	}
	return nil
}

// item is the record of a product.
func (s *shop) item(i int) event.Item {
	p := &s.products[i]
	list := []event.Attribute{
		text("brand", p.brand),
		text("category", departments[p.department].name),
		number("listed_at", float64(p.listed)),
		text("material", p.material),
		text("name", p.name),
		number("price", float64(p.cents)/100),
		number("stock", float64(p.stock)),
		text("style", styles[p.style].name),
	}
	if p.region != "" {
		list = append(list, text("region", p.region))
		event.SortAttributes(list)
	}
	return event.Item{ID: itemID(i), Time: s.begin, Attributes: list}
}

// user is the record of a customer.
func (s *shop) user(i int) event.User {
	c := &s.customers[i]
	var list []event.Attribute
	if c.region != "" {
		list = append(list, text("region", c.region))
	}
	return event.User{ID: userID(i), Time: s.begin, Attributes: append(list, text("segment", c.segment))}
}

func text(name, v string) event.Attribute {
	return event.Attribute{Name: name, Value: event.Value{Kind: event.String, Str: v}}
}

func number(name string, v float64) event.Attribute {
	return event.Attribute{Name: name, Value: event.Value{Kind: event.Number, Num: v}}
}

// eventWriter returns what makes the n-th event of a visit.
func (s *shop) eventWriter() func(n int, v *visit) event.Event {
	users, items := make([]string, s.cfg.Customers), make([]string, len(s.products))
	for i := range users {
		users[i] = userID(i)
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

// userID names the customer at an index.
func userID(i int) string { return "u" + strconv.Itoa(i+1) }

// fingerprint tells shops of different configurations apart, so that their
// event ids do not meet. End is left out: the shop of tomorrow is the same.
func (s *shop) fingerprint() uint32 {
	h := fnv.New32a()
	for _, v := range []int{int(s.cfg.Seed), s.cfg.Customers, s.cfg.Items, s.cfg.Events} {
		_ = binary.Write(h, binary.LittleEndian, int64(v))
	}
	return h.Sum32()
}
