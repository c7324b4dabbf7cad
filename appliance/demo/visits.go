package demo

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// visit is one event in compact form.
type visit struct {
	time              int64
	action            string
	customer, product int32
	session, quantity int32
}

// visits lets the customers come until there are enough events, and sorts
// what they did by time.
func (s *shop) visits() []visit {
	out := make([]visit, 0, s.cfg.Events+64)
	// Everybody comes once, then the busy ones again and again.
	order := s.rng.Perm(s.cfg.Customers)
	busy := zipf(order, 40, 0.8)
	for session := int32(0); len(out) < s.cfg.Events; session++ {
		who := int32(0)
		if int(session) < len(order) {
			who = int32(order[session])
		} else {
			who = busy.draw(s.rng)
		}
		out = s.session(out, session, who)
	}
	return byTime(out[:s.cfg.Events])
}

// byTime sorts visits; equal times keep their order. Sorting small keys is
// several times as quick as sorting the visits stably.
func byTime(list []visit) []visit {
	type key struct {
		time int64
		at   int
	}
	keys := make([]key, len(list))
	for i := range list {
		keys[i] = key{list[i].time, i}
	}
	slices.SortFunc(keys, func(a, b key) int {
		return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(a.at, b.at))
	})
	out := make([]visit, len(list))
	for i, k := range keys {
		out[i] = list[k.at]
	}
	return out
}

// session appends what one customer does in one visit of the shop.
func (s *shop) session(out []visit, session, who int32) []visit {
	at := s.arrival()
	c := &s.customers[who]
	shelf := s.taste(c, at)
	looks := 2 + int(s.rng.ExpFloat64()*4)
	for range min(looks, 25) {
		from := shelf
		switch x := s.rng.Float64(); {
		case x < 0.07:
			from = &s.everything
		case x < 0.30:
			from = s.taste(c, at)
		}
		product := from.draw(s.rng)
		s.consider(func(action string, quantity int32) {
			if at < s.end {
				out = append(out, visit{at, action, who, product, session, quantity})
			}
			at += 2000 + int64(s.rng.ExpFloat64()*25_000)
		})
	}
	return out
}

// consider is what happens with one product that comes into sight: it is
// looked at, and every further step is rarer than the one before.
func (s *shop) consider(act func(action string, quantity int32)) {
	if s.rng.Float64() < 0.04 {
		act("impression", 0)
		return
	}
	act("view", 0)
	if s.rng.Float64() < 0.30 {
		act("click", 0)
	}
	if s.rng.Float64() < 0.05 {
		act("favorite", 0)
	}
	if s.rng.Float64() < 0.15 {
		act("cart", 0)
		if s.rng.Float64() < 0.45 {
			act("purchase", 1+int32(math.Floor(s.rng.ExpFloat64()*0.7)))
		}
	}
}

// arrival draws when a visit begins: more of them as the shop gets known, and
// in the evening.
func (s *shop) arrival() int64 {
	day := int64(math.Pow(s.rng.Float64(), 0.8) * days)
	hour := 13.5 + 4.5*s.rng.NormFloat64()
	if hour < 0 || hour >= 24 {
		hour = 24 * s.rng.Float64()
	}
	return s.begin + day*24*time.Hour.Milliseconds() + int64(hour*float64(time.Hour.Milliseconds()))
}
