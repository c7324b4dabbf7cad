package demo

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
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
	err := Generate(cfg,
		func(it event.Item) error { items = append(items, it); return nil },
		func(e event.Event) error { events = append(events, e); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return items, events
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
		names[items[i].Attributes[3].Value.Str] = true
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
		category[it.ID] = it.Attributes[1].Value.Str
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
	read := func(cfg Config) []byte {
		dir := t.TempDir()
		if err := WriteFiles(dir, cfg); err != nil {
			t.Fatal(err)
		}
		var all []byte
		for _, name := range []string{ItemsFile, EventsFile} {
			data, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, data...)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
			t.Errorf("%d files, %v", len(left), err)
		}
		return all
	}
	first := read(cfg)
	if !bytes.Equal(first, read(cfg)) {
		t.Error("the same shop differs")
	}
	sum := sha256.Sum256(first)
	// A change of this sum changes every demo shop out there: their event
	// ids stay while the events behind them do not.
	if got := hex.EncodeToString(sum[:8]); got != golden {
		t.Errorf("the shop is another one than it was: %s", got)
	}
	cfg.Seed = 7
	if bytes.Equal(first, read(cfg)) {
		t.Error("another seed gives the same shop")
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
	err = event.SplitBatch("application/x-ndjson", data, func(i int, raw []byte) error {
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
	data, err = os.ReadFile(filepath.Join(dir, ItemsFile))
	if err != nil {
		t.Fatal(err)
	}
	err = event.SplitBatch("application/x-ndjson", data, func(i int, raw []byte) error {
		got, inv := event.ParseAttributes(raw)
		want := event.MergeAttributes(items[i].Attributes, []event.Attribute{{Name: "item_id", Value: event.Value{Kind: event.String, Str: items[i].ID}}})
		if inv != nil || string(event.AppendAttributesJSON(nil, got)) != string(event.AppendAttributesJSON(nil, want)) {
			t.Fatalf("line %d: %s, %v", i+1, raw, inv)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
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
	if err := Generate(Config{Events: -1}, nil, nil); err == nil {
		t.Error("a negative number of events was taken")
	}
	stop := errors.New("stop")
	small := Config{Customers: 1, Items: 1, Events: 1, End: end}
	if err := Generate(small, func(event.Item) error { return stop }, nil); !errors.Is(err, stop) {
		t.Errorf("items: %v", err)
	}
	if err := Generate(small, nil, func(event.Event) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("events: %v", err)
	}
	if err := WriteFiles(filepath.Join(os.DevNull, "x"), small); err == nil {
		t.Error("wrote into a folder that cannot be")
	}
}

// BenchmarkGenerate makes the default shop.
func BenchmarkGenerate(b *testing.B) {
	for b.Loop() {
		err := Generate(Config{End: end}, func(event.Item) error { return nil }, func(event.Event) error { return nil })
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(DefaultEvents)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// golden is the sum of the shop that TestShopIsRepeatable makes.
const golden = "b293631b035cbc05"
