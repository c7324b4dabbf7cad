package profile

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"vitrine/appliance/frame"
	"vitrine/appliance/signal"
	"vitrine/bridge/event"
)

// TestRememberedWeightsAreThoseOfNow: whatever happens to histories, what is
// remembered of them is never shown for what they are now.
func TestRememberedWeightsAreThoseOfNow(t *testing.T) {
	sig := newSignal(t, signal.Config{MaxItems: 20, HalfLife: time.Hour})
	codes := newTable()
	s := New(sig, codes)
	random := rand.New(rand.NewPCG(1, 1))
	user := func() string { return fmt.Sprint("u", random.IntN(4)) }
	measure := signal.Confidence
	for n := range int64(2000) {
		r := record(user(), fmt.Sprint("i", random.IntN(30)), []string{"view", "purchase", "remove"}[random.IntN(3)], 1000*n-int64(random.IntN(5000)))
		switch random.IntN(20) {
		case 0:
			r = event.Record{Kind: event.KindUserErase, User: event.User{ID: user()}}
		case 1:
			r = event.Record{Kind: event.KindUserMerge, User: event.User{ID: user(), Into: user()}}
		case 2:
			measure = []signal.Measure{signal.Confidence, signal.Counts}[random.IntN(2)]
			s.Measure(measure)
		}
		s.Apply(uint64(n), []event.Record{r})
		id := codes.InternUser(user())
		reference := int64(1_000_000) * int64(1+random.IntN(2))
		history, _ := s.History(id, nil)
		want := sig.As(measure).Weigh(history, reference, nil)
		order := sig.Sequence(history, 5, nil)
		for range 2 {
			var got frame.Frame
			s.Weights(id, nil, reference, &got)
			if got.Len() != len(want) {
				t.Fatalf("step %d: %d weights, want %d", n, got.Len(), len(want))
			}
			for j, w := range want {
				if got.Items[j] != w.Item || math.Float32bits(got.Scores[j]) != math.Float32bits(w.Weight) {
					t.Fatalf("step %d: weight %d is %v, want %v", n, j, got.Scores[j], w)
				}
			}
			places := s.Places(id, nil, 5, []uint32{7})
			if !slices.EqualFunc(places[1:], order, func(item uint32, in signal.Interaction) bool { return item == in.Item }) {
				t.Fatalf("step %d: places %v, want %v", n, places[1:], order)
			}
		}
	}
}

// What a request costs that a history has not changed for, beside one of so
// many events that it is weighed anew for: a copy of what is remembered.
func BenchmarkWeights(b *testing.B) {
	for _, events := range []int{25, 250} {
		for _, known := range []bool{true, false} {
			b.Run(fmt.Sprintf("events=%d/remembered=%v", events, known), func(b *testing.B) {
				codes := newTable()
				s := New(newSignal(b, signal.Config{}), codes)
				for n := range events {
					s.Apply(uint64(n), []event.Record{record("u", fmt.Sprint("i", n), "view", int64(n))})
				}
				var f frame.Frame
				reference := int64(events)
				b.ReportAllocs()
				for b.Loop() {
					if !known {
						reference++
					}
					f.Reset()
					s.Weights(0, nil, reference, &f)
				}
			})
		}
	}
}
