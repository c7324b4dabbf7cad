package offline

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vitrine/appliance/signal"
	"vitrine/appliance/trainer"
	"vitrine/bridge/archive"
	"vitrine/bridge/event"
)

// text writes a file and returns its path.
func text(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// newRun is a run over a file, with its data read.
func newRun(t testing.TB, o Options, content string) (*run, *data) {
	t.Helper()
	return runOver(t, o, Source{Events: []string{text(t, "events.csv", content)}})
}

func runOver(t testing.TB, o Options, source Source) (*run, *data) {
	t.Helper()
	folds, err := o.complete(false)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := signal.New(signal.Config{})
	if err != nil {
		t.Fatal(err)
	}
	r := &run{
		job: Job{Source: source}, opt: o, sig: sig, turns: folds,
		progress: func(trainer.Progress) {}, result: &Result{Seconds: map[string]float64{}, Options: map[string]any{}},
	}
	d, err := r.read(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return r, d
}

// pairs are the "user:item" of a history, by the numbers in which ids came.
func pairs(d *data, h *history) string {
	var out []string
	for u := range h.users() {
		for _, in := range h.of(u) {
			out = append(out, fmt.Sprintf("%d:%s", u, d.items[in.Item]))
		}
	}
	return strings.Join(out, " ")
}

func TestSplits(t *testing.T) {
	const header = "user_id,item_id,ts\n"
	const timed = header + "a,x,2024-01-03\na,y,2024-01-01\nb,x,2024-01-02\nb,z,2024-01-04\nc,y,2024-01-05\n" +
		"a,w,2024-01-06\nb,w,2024-01-07\nc,x,2024-01-08\na,v,2024-01-09\nb,v,2024-01-10\n"
	// The same time for all: the order of the file is that of time.
	const timeless = "user_id,item_id\na,x\nb,x\na,y\nb,z\nc,y\na,w\nb,w\nc,x\nb,v\na,v\n"
	for _, tt := range []struct {
		name, content, fit, targets string
		o                           Options
	}{
		{"time", timed, "0:y 0:x 0:w 0:v 1:x 1:z 1:w 2:y 2:x", "1:v", Options{}},
		{"equal times in file order", timeless, "0:x 0:y 0:w 1:x 1:z 1:w 1:v 2:y 2:x", "0:v", Options{}},
		{"last of each", timed, "0:y 0:x 0:w 1:x 1:z 1:w 2:y", "0:v 1:v 2:x", Options{Split: SplitLast}},
		{"last of each in file order", timeless, "0:x 0:y 0:w 1:x 1:z 1:w 2:y", "0:v 1:v 2:x", Options{Split: SplitLast}},
		{"a user with one item", header + "a,x,1\na,y,2\nb,z,3\n", "0:x 1:z", "0:y", Options{Split: SplitLast}},
		{"sessions end with their targets", timed, "0:y 0:x 0:w 1:x 1:z 1:w 2:y", "0:v 1:v 2:x", Options{Mode: ModeSession, Split: SplitLast}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, d := newRun(t, tt.o, tt.content)
			e := r.exam(d, 0)
			if got := pairs(d, e.fit); got != tt.fit {
				t.Errorf("fitted on %s, want %s", got, tt.fit)
			}
			if got := pairs(d, e.targets); got != tt.targets {
				t.Errorf("targets %s, want %s", got, tt.targets)
			}
		})
	}
}

// TestArchiveIsReadAsATrainingReadsIt: events of the erased are gone and those of
// guests are theirs whom they became, long before the files are written anew;
// sessions are told apart.
func TestArchiveIsReadAsATrainingReadsIt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "archive")
	a, err := archive.Open(t.Context(), archive.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	visit := func(user, item, session string) event.Record {
		return event.Record{Kind: event.KindEvent, Event: event.Event{UserID: user, ItemID: item, Type: "view", Time: 1, SessionID: session}}
	}
	for n, r := range []event.Record{
		visit("guest", "a", "s1"), visit("u1", "b", "s2"), visit("gone", "c", ""),
		{Kind: event.KindUserMerge, User: event.User{ID: "guest", Into: "u1"}},
		{Kind: event.KindUserErase, User: event.User{ID: "gone"}},
		visit("guest", "d", ""), visit("gone", "e", ""),
	} {
		b, err := a.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Add(uint64(n+1), &r); err != nil {
			t.Fatal(err)
		}
		if err := b.Commit(t.Context(), uint64(n+1)); err != nil {
			t.Fatal(err)
		}
	}
	a.Close()
	_, d := runOver(t, Options{}, Source{Dir: dir})
	if got, want := pairs(d, d.train), "0:a 0:b 1:d 2:e"; got != want {
		t.Errorf("read %s, want %s", got, want)
	}
	var sessions []uint16
	for _, in := range d.train.events {
		sessions = append(sessions, in.Session)
	}
	if want := []uint16{signal.SessionHash("s1"), signal.SessionHash("s2"), 0, 0}; !slices.Equal(sessions, want) {
		t.Errorf("sessions %v, want %v", sessions, want)
	}
}

// TestFolds: every pair is a target once, and the events of one pair stay
// together.
func TestFolds(t *testing.T) {
	var b strings.Builder
	b.WriteString("user_id,item_id\n")
	for n := range 200 {
		fmt.Fprintf(&b, "u%d,i%d\n", n%20, n%37)
	}
	r, d := newRun(t, Options{Split: "folds:4"}, b.String())
	times := map[string]int{}
	for turn := range 4 {
		e := r.exam(d, turn)
		fit := strings.Fields(pairs(d, e.fit))
		for _, pair := range strings.Fields(pairs(d, e.targets)) {
			times[pair]++
			if slices.Contains(fit, pair) {
				t.Fatalf("%s is fitted on and a target", pair)
			}
		}
	}
	for pair, n := range times {
		if n != 1 {
			t.Errorf("%s is a target %d times", pair, n)
		}
	}
	if len(times) == 0 {
		t.Error("no targets")
	}
}

// shop writes users who walk round circles of items: the next item is certain.
func shop(users int) string {
	random := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for u := range users {
		fmt.Fprintf(&b, "%d", u)
		at := random.IntN(10)
		for n := range 5 {
			fmt.Fprintf(&b, " %d", u%8*10+(at+n)%10)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func measureFile(t testing.TB, o Options, content string) *Result {
	t.Helper()
	job := Job{Source: Source{Events: []string{text(t, "lists.txt", content)}}, Options: o, Training: trainer.Job{Rank: 16}}
	result, err := Run(context.Background(), job, func(trainer.Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func of(r *Result, name string) *Model {
	for n := range r.Models {
		if r.Models[n].Name == name {
			return &r.Models[n]
		}
	}
	return &Model{}
}

func TestRunFindsThePattern(t *testing.T) {
	r := measureFile(t, Options{Split: SplitLast, Seen: SeenBoth}, shop(240))
	blend, als, popular := of(r, nameBlend), of(r, nameALS), of(r, namePopularity)
	if blend.Metrics["ndcg@10"] < .9 || als.Metrics["hit_rate@10"] < .9 || popular.Metrics["ndcg@10"] > .3 {
		t.Errorf("NDCG@10: blend %.3f, als %.3f, popularity %.3f", blend.Metrics["ndcg@10"], als.Metrics["ndcg@10"], popular.Metrics["ndcg@10"])
	}
	if !blend.Published || als.Published || r.Difference == nil || r.Difference.Metrics["ndcg@10"] < .5 {
		t.Errorf("published %v %v, difference %+v", blend.Published, als.Published, r.Difference)
	}
	if of(r, nameALS+kept).Metrics["ndcg@10"] >= als.Metrics["ndcg@10"] {
		t.Error("seen items are not in the way")
	}
	if warm, cold := blend.Slices["warm"], blend.Slices["cold"]; cold.Users != 240 || warm.Users != 0 {
		t.Errorf("%d cold and %d warm users", cold.Users, warm.Users)
	}
	if again := measureFile(t, Options{Split: SplitLast, Seen: SeenBoth}, shop(240)); of(again, nameBlend).Metrics["ndcg@10"] != blend.Metrics["ndcg@10"] {
		t.Error("the same data gives another figure")
	}
}

// TestNothingToMeasure: too little data is a reason, not a figure.
func TestNothingToMeasure(t *testing.T) {
	for _, content := range []string{"1 2\n3 4\n", "1 2\n"} {
		if r := measureFile(t, Options{Split: SplitLast}, content); !strings.Contains(r.Nothing, "too little data") || len(r.Models) != 0 {
			t.Errorf("%q: %+v", content, r)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{
		{Split: "folds"}, {Split: "folds:x"}, {Split: "folds:1"}, {Split: "folds:101"}, {Split: "given"}, {Seen: "all"}, {Mode: "sessions"},
	} {
		if o.Split == splitGiven {
			continue // of Run's own making
		}
		if err := o.Check(); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
	if err := (Options{Split: "folds:5", Seen: SeenKept, Mode: ModeExplicit}).Check(); err != nil {
		t.Error(err)
	}
}
