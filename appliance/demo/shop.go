package demo

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// product is one item.
type product struct {
	name, brand, material string
	department, style     int
	cents, stock          int
	// region is the one where it is sold, empty for all of them.
	region string
	// listed is when it, or its present edition, came into the shop, in Unix
	// seconds.
	listed int64
}

// customer is one visitor of the shop.
type customer struct {
	// departments and styles are what he likes, the dearest first.
	departments [3]int
	styles      [2]int
	// moves is when his second department becomes his first and a new one
	// his second: people furnish one room after the other.
	moves int64
	next  int
	// region is where he lives, empty when he has not told.
	region, segment string
}

// shop is the catalogue, its customers and the dice.
type shop struct {
	cfg        Config
	begin, end int64
	rng        *rand.Rand
	products   []product
	customers  []customer
	// shelves hold the products of one department and style.
	shelves [][]urn
	// everything is the shelf of all products.
	everything urn
}

// urn draws one of ids with given weights.
type urn struct {
	ids []int32
	sum []float64
}

// put adds an id with its weight.
func (u *urn) put(id int32, weight float64) {
	total := weight
	if n := len(u.sum); n > 0 {
		total += u.sum[n-1]
	}
	u.ids, u.sum = append(u.ids, id), append(u.sum, total)
}

// draw takes an id; the urn must not be empty.
func (u *urn) draw(rng *rand.Rand) int32 {
	x := rng.Float64() * u.sum[len(u.sum)-1]
	i, _ := slices.BinarySearch(u.sum, x)
	return u.ids[min(i, len(u.ids)-1)]
}

// zipf is an urn of n ids, each weighing (rank+flat)^-skew, so that few draw
// most. order gives the ids by rank.
func zipf(order []int, flat, skew float64) urn {
	var u urn
	for rank, id := range order {
		u.put(int32(id), math.Pow(float64(rank)+flat, -skew))
	}
	return u
}

// counting is 0, 1, ... n-1.
func counting(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// newShop builds the catalogue and the customers.
func newShop(cfg Config) *shop {
	s := &shop{
		cfg: cfg, end: cfg.End.UnixMilli(),
		rng: rand.New(rand.NewPCG(uint64(cfg.Seed), 0x76697472696e65)),
	}
	s.begin = s.end - days*24*time.Hour.Milliseconds()
	s.stockUp()
	s.invite()
	s.label()
	return s
}

// label gives products and customers what plugins look at and tastes do not:
// it has dice of its own, so that it does not change who comes and buys what.
func (s *shop) label() {
	rng := rand.New(rand.NewPCG(uint64(s.cfg.Seed), 0x6c6162656c))
	const day = 24 * 60 * 60
	for i := range s.products {
		p := &s.products[i]
		if rng.Float64() < 0.06 {
			p.stock = 0
		}
		if rng.Float64() < 0.3 {
			p.region = pick(rng, regions)
		}
		// A tenth came out in a new edition while the shop was open.
		back := int64(rng.ExpFloat64() * 150 * day)
		if rng.Float64() < 0.1 {
			back = -rng.Int64N(days * day)
		}
		p.listed = s.begin/1000 - min(back, 3*365*day)
	}
	for i := range s.customers {
		c := &s.customers[i]
		home := pick(rng, regions)
		// Customer, who is shown to everybody, has told where he lives.
		if rng.Float64() < 0.9 || userID(i) == Customer {
			c.region = home
		}
		switch x := rng.Float64(); {
		case x < 0.65:
			c.segment = "household"
		case x < 0.85:
			c.segment = "gift"
		default:
			c.segment = "trade"
		}
	}
}

// stockUp makes the products and sorts them into shelves.
func (s *shop) stockUp() {
	// Like departments, the shelves of well-liked styles are fuller, and how
	// well a product sells has nothing to do with where it stands.
	fill := zipf(counting(len(departments)), 6, 0.7)
	looks := zipf(counting(len(styles)), 6, 0.7)
	s.shelves = make([][]urn, len(departments))
	for d := range s.shelves {
		s.shelves[d] = make([]urn, len(styles))
	}
	names := make(map[string]int)
	s.products = make([]product, s.cfg.Items)
	for i := range s.products {
		s.products[i] = s.design(int(fill.draw(s.rng)), int(looks.draw(s.rng)), names)
	}
	for rank, i := range s.rng.Perm(len(s.products)) {
		p := &s.products[i]
		weight := math.Pow(float64(rank)+5, -0.9)
		s.shelves[p.department][p.style].put(int32(i), weight)
		s.everything.put(int32(i), weight)
	}
}

// design makes a product; names counts the names given so far.
func (s *shop) design(dep, look int, names map[string]int) product {
	d, st := &departments[dep], &styles[look]
	p := product{department: dep, style: look, brand: pick(s.rng, st.brands), stock: s.rng.IntN(250)}
	var noun string
	// A few tries find an unused name while there are any.
	for range 20 {
		p.material, noun = pick(s.rng, d.materials), pick(s.rng, d.nouns)
		p.name = strings.Join([]string{st.name, p.material, noun}, " ")
		if names[p.name] == 0 {
			break
		}
	}
	names[p.name]++
	if n := names[p.name]; n > 1 {
		p.name += " No. " + strconv.Itoa(n)
	}
	// Prices lie evenly on a logarithmic scale and end in 90 cents.
	price := float64(d.low) * math.Pow(float64(d.high)/float64(d.low), s.rng.Float64())
	p.cents = int(price)*100 + 90
	return p
}

// pick takes one of a list.
func pick(rng *rand.Rand, list []string) string { return list[rng.IntN(len(list))] }

// invite gives every customer his tastes.
func (s *shop) invite() {
	rooms := zipf(counting(len(departments)), 4, 0.8)
	looks := zipf(counting(len(styles)), 4, 0.8)
	s.customers = make([]customer, s.cfg.Customers)
	for i := range s.customers {
		c := &s.customers[i]
		for j := range c.departments {
			c.departments[j] = int(rooms.draw(s.rng))
		}
		for j := range c.styles {
			c.styles[j] = int(looks.draw(s.rng))
		}
		c.next = int(rooms.draw(s.rng))
		// For half of them the move lies after the end.
		c.moves = s.begin + s.rng.Int64N(2*(s.end-s.begin))
	}
}

// taste draws what a customer looks for at a time: a shelf.
func (s *shop) taste(c *customer, at int64) *urn {
	liked := c.departments
	if at >= c.moves {
		liked[0], liked[1] = liked[1], c.next
	}
	dep := liked[0]
	switch x := s.rng.Float64(); {
	case x < 0.12:
		dep = liked[2]
	case x < 0.40:
		dep = liked[1]
	}
	look := c.styles[0]
	switch x := s.rng.Float64(); {
	case x < 0.05:
		look = s.rng.IntN(len(styles))
	case x < 0.30:
		look = c.styles[1]
	}
	if shelf := &s.shelves[dep][look]; len(shelf.ids) > 0 {
		return shelf
	}
	return &s.everything
}
