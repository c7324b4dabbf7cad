package demo

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"vitrine/bridge/event"
)

// end is the End of the tests.
var end = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// generate collects a shop.
func generate(t testing.TB, cfg Config) (items []event.Item, events []event.Event) {
	t.Helper()
	err := Fill(cfg, Sink{
		Items:  func(it event.Item) error { items = append(items, it); return nil },
		Events: func(e event.Event) error { events = append(events, e); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return items, events
}

// customers collects the users of a shop.
func customers(t testing.TB, cfg Config) (users []event.User) {
	t.Helper()
	err := Fill(cfg, Sink{Users: func(u event.User) error { users = append(users, u); return nil }})
	if err != nil {
		t.Fatal(err)
	}
	return users
}

// value is an attribute, the zero Value where there is none.
func value(list []event.Attribute, name string) event.Value {
	for _, at := range list {
		if at.Name == name {
			return at.Value
		}
	}
	return event.Value{}
}

func TestShopIsValid(t *testing.T) {
	items, events := generate(t, Config{End: end})
	if len(items) != DefaultItems || len(events) != DefaultEvents {
		t.Fatalf("%d items, %d events", len(items), len(events))
	}
	names, known := map[string]bool{}, map[string]bool{}
	for i := range items {
		if inv := items[i].Validate(); inv != nil {
			t.Fatalf("%+v: %v", items[i], inv)
		}
		known[items[i].ID] = true
		names[value(items[i].Attributes, "name").Str] = true
	}
	if len(names) != len(items) {
		t.Errorf("%d items share %d names", len(items), len(names))
	}
	ids, users := map[string]bool{}, map[string]int{}
	begin := end.AddDate(0, 0, -days).UnixMilli()
	last := begin
	counts := map[string]int{}
	for i := range events {
		e := &events[i]
		if inv := e.Validate(nil); inv != nil {
			t.Fatalf("%+v: %v", e, inv)
		}
		if e.Time < last || e.Time >= end.UnixMilli() || !known[e.ItemID] || ids[e.EventID] {
			t.Fatalf("event %d out of order, out of the window, of an unknown item or twice: %+v", i, e)
		}
		last, ids[e.EventID] = e.Time, true
		users[e.UserID]++
		counts[e.Type]++
		if e.Type == "purchase" != e.HasValue || e.HasValue && e.Value < 1 {
			t.Fatalf("a purchase has a quantity, nothing else has: %+v", e)
		}
	}
	if len(users) != DefaultCustomers || users[Customer] < 10 {
		t.Errorf("%d customers came, %s left %d events", len(users), Customer, users[Customer])
	}
	if order := []int{counts["view"], counts["click"], counts["cart"], counts["purchase"], counts["impression"]}; !slices.IsSortedFunc(order, func(a, b int) int { return b - a }) || counts["impression"] == 0 || counts["favorite"] == 0 {
		t.Errorf("the steps are not rarer and rarer: %v", counts)
	}
}

// TestShopIsSkewed checks what makes the shop worth recommending from: few
// items draw most of the events, and a customer stays with few departments.
func TestShopIsSkewed(t *testing.T) {
	items, events := generate(t, Config{Events: 100_000, End: end})
	category := map[string]string{}
	for _, it := range items {
		category[it.ID] = value(it.Attributes, "category").Str
	}
	perItem := map[string]int{}
	perUser := map[string]map[string]int{}
	for _, e := range events {
		perItem[e.ItemID]++
		if perUser[e.UserID] == nil {
			perUser[e.UserID] = map[string]int{}
		}
		perUser[e.UserID][category[e.ItemID]]++
	}
	counts := make([]int, 0, len(perItem))
	for _, n := range perItem {
		counts = append(counts, n)
	}
	slices.Sort(counts)
	slices.Reverse(counts)
	top := 0
	for _, n := range counts[:len(items)/10] {
		top += n
	}
	if share := float64(top) / float64(len(events)); share < 0.35 || share > 0.7 {
		t.Errorf("a tenth of the items draws %.2f of the events", share)
	}
	dear, all := 0, 0
	for _, by := range perUser {
		var n []int
		for _, k := range by {
			n, all = append(n, k), all+k
		}
		slices.Sort(n)
		for _, k := range n[max(0, len(n)-3):] {
			dear += k
		}
	}
	if share := float64(dear) / float64(all); share < 0.75 || share > 0.98 {
		t.Errorf("a customer's three dearest departments draw %.2f of his events", share)
	}
}

func TestShopIsRepeatable(t *testing.T) {
	cfg := Config{Customers: 300, Items: 200, Events: 5000, End: end}
	sums := func(cfg Config) map[string]string {
		dir := t.TempDir()
		if err := WriteFiles(dir, cfg); err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		for _, entry := range entries {
			data, err := os.ReadFile(filepath.Join(dir, entry.Name()))
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(data)
			out[entry.Name()] = hex.EncodeToString(sum[:8])
		}
		return out
	}
	first := sums(cfg)
	if !maps.Equal(first, sums(cfg)) {
		t.Error("the same shop differs")
	}
	// A change of the events changes every demo shop out there: their ids stay
	// while what is behind them does not.
	if !maps.Equal(first, golden) {
		t.Errorf("the shop is another one than it was: %v", first)
	}
	cfg.Seed = 7
	for name, sum := range sums(cfg) {
		if sum == first[name] {
			t.Errorf("%s: another seed gives the same", name)
		}
	}
}

// TestEndMovesTimesOnly checks that filling again on another day adds
// nothing: the events keep their ids.
func TestEndMovesTimesOnly(t *testing.T) {
	cfg := Config{Customers: 300, Items: 200, Events: 5000, End: end}
	_, a := generate(t, cfg)
	cfg.End = end.AddDate(0, 0, 3)
	_, b := generate(t, cfg)
	for i := range a {
		b[i].Time -= 3 * 24 * time.Hour.Milliseconds()
		if a[i] != b[i] {
			t.Fatalf("event %d: %+v, %+v", i, a[i], b[i])
		}
	}
}

func TestFilesReadBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "demo")
	cfg := Config{Customers: 50, Items: 40, Events: 1000, End: end}
	if err := WriteFiles(dir, cfg); err != nil {
		t.Fatal(err)
	}
	items, events := generate(t, cfg)
	data, err := os.ReadFile(filepath.Join(dir, EventsFile))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	_, err = event.SplitBatch("application/x-ndjson", data, func(i int, raw []byte) error {
		var e event.Event
		if _, inv := event.ParseEvent(raw, &e); inv != nil || e != events[i] {
			t.Fatalf("line %d: %+v, %v; want %+v", i+1, e, inv, events[i])
		}
		n++
		return nil
	})
	if err != nil || n != len(events) {
		t.Errorf("%d events, %v", n, err)
	}
	users := customers(t, cfg)
	flat := func(file, idName string, n int, of func(i int) (id string, list []event.Attribute)) {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		lines := 0
		_, err = event.SplitBatch("application/x-ndjson", data, func(i int, raw []byte) error {
			got, inv := event.ParseAttributes(raw)
			id, list := of(i)
			want := event.MergeAttributes(list, []event.Attribute{text(idName, id)})
			if inv != nil || string(event.AppendAttributesJSON(nil, got)) != string(event.AppendAttributesJSON(nil, want)) {
				t.Fatalf("%s line %d: %s, %v", file, i+1, raw, inv)
			}
			lines++
			return nil
		})
		if err != nil || lines != n {
			t.Errorf("%s: %d lines, %v", file, lines, err)
		}
	}
	flat(ItemsFile, "item_id", len(items), func(i int) (string, []event.Attribute) { return items[i].ID, items[i].Attributes })
	flat(UsersFile, "user_id", len(users), func(i int) (string, []event.Attribute) { return users[i].ID, users[i].Attributes })
	if got := string(appendFlatJSON(nil, "user_id", "u", nil)); got != `{"user_id":"u"}` {
		t.Errorf("without attributes: %s", got)
	}
}

// TestLabels checks what the ready plugins need: items out of stock, items
// and customers of a region and without one, items of every age.
func TestLabels(t *testing.T) {
	cfg := Config{Events: 1000, End: end}
	items, _ := generate(t, cfg)
	users := customers(t, cfg)
	if len(users) != DefaultCustomers || users[0].ID != Customer {
		t.Fatalf("%d users, the first is %s", len(users), users[0].ID)
	}
	share := func(what string, n, of int, low, high float64) {
		t.Helper()
		if got := float64(n) / float64(of); got < low || got > high {
			t.Errorf("%s: %.3f, want %.3f to %.3f", what, got, low, high)
		}
	}
	out, local, fresh, month := 0, 0, 0, end.AddDate(0, 0, -30).Unix()
	for i := range items {
		list := items[i].Attributes
		if value(list, "stock").Num == 0 {
			out++
		}
		if value(list, "region").Str != "" {
			local++
		}
		at := value(list, "listed_at")
		if at.Kind != event.Number || at.Num != float64(int64(at.Num)) || int64(at.Num) >= end.Unix() || int64(at.Num) < end.AddDate(-4, 0, 0).Unix() {
			t.Fatalf("listed at %v", at)
		}
		if int64(at.Num) >= month {
			fresh++
		}
	}
	share("out of stock", out, len(items), 0.04, 0.09)
	share("of one region", local, len(items), 0.25, 0.35)
	share("of the last month", fresh, len(items), 0.02, 0.06)
	homes, segments := map[string]int{}, map[string]int{}
	for i := range users {
		if inv := users[i].Validate(); inv != nil {
			t.Fatalf("%+v: %v", users[i], inv)
		}
		homes[value(users[i].Attributes, "region").Str]++
		segments[value(users[i].Attributes, "segment").Str]++
	}
	share("without a region", homes[""], len(users), 0.07, 0.13)
	if len(homes) != len(regions)+1 || len(segments) != 3 || segments[""] != 0 || value(users[0].Attributes, "region").Str == "" {
		t.Errorf("regions %v, segments %v, %s: %v", homes, segments, Customer, users[0].Attributes)
	}
}

func TestSmallAndRefused(t *testing.T) {
	for _, cfg := range []Config{
		{Customers: 1, Items: 1, Events: 1, End: end},
		{Customers: 100, Items: 3, Events: 10, End: end},
		{Customers: 2, Items: 5000, Events: 100, End: end},
	} {
		items, events := generate(t, cfg)
		if len(items) != cfg.Items || len(events) != cfg.Events {
			t.Errorf("%+v: %d items, %d events", cfg, len(items), len(events))
		}
	}
	if err := Fill(Config{Events: -1}, Sink{}); err == nil {
		t.Error("a negative number of events was taken")
	}
	stop := errors.New("stop")
	small := Config{Customers: 1, Items: 1, Events: 1, End: end}
	for name, sink := range map[string]Sink{
		"items":  {Items: func(event.Item) error { return stop }},
		"users":  {Users: func(event.User) error { return stop }},
		"events": {Events: func(event.Event) error { return stop }},
	} {
		if err := Fill(small, sink); !errors.Is(err, stop) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := WriteFiles(filepath.Join(os.DevNull, "x"), small); err == nil {
		t.Error("wrote into a folder that cannot be")
	}
}

// BenchmarkGenerate makes the default shop.
func BenchmarkGenerate(b *testing.B) {
	for b.Loop() {
		err := Fill(Config{End: end}, Sink{
			Items: func(event.Item) error { return nil }, Users: func(event.User) error { return nil }, Events: func(event.Event) error { return nil },
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(DefaultEvents)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// golden are the sums of the shop that TestShopIsRepeatable makes.
var golden = map[string]string{
	ItemsFile: "07436cda59eec456", UsersFile: "6a2dd2f5c4818a1c",
	EventsFile: "643b2eea3b81dc4d",
}
