//go:build unix

package neighbors_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"vitrine/als/neighbors"
	"vitrine/als/topk"
)

// The bench shop: 50,000 items, 200,000 histories, 1.3M events, popularity
// skewed with the cube of a uniform number.
const (
	benchItems = 50_000
	benchRows  = 200_000
)

// cpu is the time this process has used of all cores: other work on the
// machine hardly shows in it.
func cpu(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Limit of the builds: a pair costs one random access to a 400 KB array of
// sums, 1-2 ns from the second-level cache.
func BenchmarkBuild(b *testing.B) {
	q := randomSequences(1, benchRows, benchItems, 6)
	data := matrix(b, q, benchItems)
	ctx := context.Background()
	small := matrix(b, randomSequences(1, benchRows, 2000, 6), 2000)
	for name, build := range map[string]func() error{
		"similar": func() error { _, err := neighbors.Similar(ctx, data, neighbors.SimilarOptions{}); return err },
		"transitions": func() error {
			_, err := neighbors.Transitions(ctx, q, neighbors.TransitionOptions{Items: benchItems})
			return err
		},
		"sessions": func() error {
			_, err := neighbors.NewSessions(b.Context(), q, neighbors.SessionOptions{Items: benchItems})
			return err
		},
		"ease2000": func() error { _, err := neighbors.EASE(ctx, small, neighbors.EASEOptions{}); return err },
	} {
		b.Run(name, func(b *testing.B) {
			start := cpu(b)
			for b.Loop() {
				if err := build(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(q.Items)), "events")
			b.ReportMetric(float64((cpu(b)-start).Milliseconds())/float64(b.N), "cpu-ms/build")
		})
	}
}

// Limit of EASE: n^3/2 multiply-adds at the 50 GFLOP/s per core that a kernel
// reaches which adds four rows at a time: 3.1 s of one core for 4000 items.
func BenchmarkEASE(b *testing.B) {
	for _, items := range []int{1000, 4000} {
		data := matrix(b, randomSequences(1, 20_000, items, 6), items)
		b.Run(fmt.Sprint(items), func(b *testing.B) {
			start := cpu(b)
			for b.Loop() {
				if _, err := neighbors.EASE(context.Background(), data, neighbors.EASEOptions{Workers: 1}); err != nil {
					b.Fatal(err)
				}
			}
			n := float64(items)
			b.ReportMetric(n*n*n*float64(b.N)/(cpu(b)-start).Seconds()/1e9, "GFLOP/s")
		})
	}
}

// Limit of a look-up: 200 random accesses per item of the history, to the
// numbers of a 200 KB array, 1-2 ns each. Of session neighbours: 12 bytes of each
// of up to 1000 postings per item, from end to end, 3 ns each with its place in
// a table that stays near; then for each of 500 sessions one walk to its items,
// 5 ns where ten of them overlap, and one such access for each item.
func BenchmarkQuery(b *testing.B) {
	q := randomSequences(1, benchRows, benchItems, 6)
	ctx := context.Background()
	follow, err := neighbors.Transitions(ctx, q, neighbors.TransitionOptions{Items: benchItems})
	if err != nil {
		b.Fatal(err)
	}
	index, err := neighbors.NewSessions(b.Context(), q, neighbors.SessionOptions{Items: benchItems})
	if err != nil {
		b.Fatal(err)
	}
	knn, err := neighbors.NewSessionKNN(index, neighbors.KNNOptions{Age: 50_000})
	if err != nil {
		b.Fatal(err)
	}
	s := shop{items: benchItems}
	items := make([]float32, 64*benchItems)
	vector := make([]float32, 64)
	for n := range items {
		items[n] = float32((n*2654435761)%1000)/1000 - 0.3
	}
	copy(vector, items[64*77:])
	factors := &neighbors.Factors{Index: topk.New(items, benchItems, 64), Model: modelOf(items, 64)}
	lookup := neighbors.Weighted{Source: &neighbors.Lookup{Table: follow}, Weight: 1}
	sessions := neighbors.Weighted{Source: knn, Weight: 1}
	repeat := neighbors.Weighted{Source: neighbors.Repeat{}, Weight: .2}
	for _, c := range []struct {
		name  string
		blend neighbors.Blend
	}{
		{"transitions", neighbors.Blend{Sources: []neighbors.Weighted{lookup}}},
		{"sessions", neighbors.Blend{Sources: []neighbors.Weighted{sessions}}},
		{"factors", neighbors.Blend{Factors: factors, FactorWeight: 1}},
		{"all", neighbors.Blend{Sources: []neighbors.Weighted{lookup, sessions, repeat}, Factors: factors, FactorWeight: 1}},
	} {
		b.Run(c.name, func(b *testing.B) {
			c.blend.Items = s.items
			var scratch neighbors.Scratch
			var hits []topk.Hit
			n, start := 0, cpu(b)
			b.ReportAllocs()
			for b.Loop() {
				history := q.At(n % benchRows)
				hits = c.blend.Rank(neighbors.Query{History: history, Vector: vector, K: 50}, hits, &scratch)
				n++
			}
			b.ReportMetric(float64((cpu(b)-start).Nanoseconds())/float64(b.N)/1e3, "cpu-us/query")
		})
	}
}
