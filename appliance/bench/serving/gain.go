package serving

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gonum.org/v1/gonum/mat"

	"vitrine/als/model"
	"vitrine/appliance/bench/report"
	"vitrine/appliance/client"
	"vitrine/appliance/registry"
	"vitrine/appliance/signal"
	"vitrine/bridge/event"
)

// GainReference is the figure that Gain's others are held against: how many
// places the items rise in float64.
const GainReference = "fresh.gain.places_float64"

const (
	// gainUsers are followed, nearest items of X looked at, others put among them.
	gainUsers   = 20
	gainNearest = 10
	gainOthers  = 190
	// gainPrecision is by how much two scores must differ, relative to the largest,
	// for their order to be told in float32.
	gainPrecision = 1e-4
)

// ErrFewItems says that a model knows too few items for Gain.
var ErrFewItems = errors.New("the model knows too few items")

// Gain sends one event on an item X for users who have none but one on another,
// and holds the order in which the appliance ranks given items, before and after,
// against the scores of a dense solve in float64. sig weighs events as the
// appliance does, which must answer by its factors alone.
func (b *Bench) Gain(ctx context.Context, s *Shop, dir string, sig *signal.Signal) error {
	bundle, err := liveBundle(dir)
	if err != nil {
		return err
	}
	solver := newSolver(bundle.Model)
	w := cartWeight(sig, bundle)
	rng := rand.New(rand.NewPCG(1, 11))
	known := rng.Perm(bundle.Model.NumItems)
	known = slices.DeleteFunc(known, func(row int) bool { return bundle.Model.ItemScale[row] == 0 })
	if len(known) < 2*gainUsers+gainOthers {
		return fmt.Errorf("%w: %d", ErrFewItems, len(known))
	}
	pairs, wrong := 0, 0
	var ours, exact []float64
	for n := range gainUsers {
		b.Progress("fresh.gain", int64(n), gainUsers)
		user, first, x := fmt.Sprintf("bench-gain-%d", n), known[2*n], known[2*n+1]
		near := solver.nearest(x, gainNearest)
		items := append(slices.Clone(near), known[2*gainUsers:2*gainUsers+gainOthers]...)
		slices.Sort(items)
		items = slices.Compact(items)
		place := [2]float64{}
		should := [2]float64{}
		for step, rows := range [][]int{{first}, {first, x}} {
			if err := s.post(ctx, "application/json", eventJSON(user, bundle.ItemIDs[rows[step]], "cart")); err != nil {
				return err
			}
			scores, err := solver.scores(rows, w)
			if err != nil {
				return err
			}
			order, err := s.order(ctx, user, bundle, items)
			if err != nil {
				return err
			}
			p, f := misordered(order, scores)
			pairs, wrong = pairs+p, wrong+f
			place[step] = meanPlace(order, near)
			slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(scores[j], scores[i]) })
			should[step] = meanPlace(order, near)
		}
		ours, exact = append(ours, place[0]-place[1]), append(exact, should[0]-should[1])
	}
	b.add(report.New("fresh.gain.places", "", report.Higher, ours...))
	b.add(report.New(GainReference, "", "", exact...))
	b.add(report.New("fresh.gain.pairs", "", "", float64(pairs)))
	b.add(report.New("fresh.gain.misordered", "", report.Lower, float64(wrong)).WithBar(0))
	return nil
}

// cartWeight is what a cart event of now counts on a model.
func cartWeight(sig *signal.Signal, b *registry.Bundle) float64 {
	in, _ := sig.Interaction(&event.Event{Type: "cart", Time: time.Now().UnixMilli()}, 0)
	sum := 0.0
	for _, w := range sig.As(signal.Measure(b.Measure)).Weigh([]signal.Interaction{in}, b.Reference, nil) {
		sum += float64(w.Weight)
	}
	return sum
}

// liveBundle is the model that an appliance of a folder answers with.
func liveBundle(dir string) (*registry.Bundle, error) {
	dir = filepath.Join(dir, "models")
	text, err := os.ReadFile(filepath.Join(dir, "live"))
	if err != nil {
		return nil, fmt.Errorf("find the live model: %w", err)
	}
	live, _, _ := strings.Cut(string(text), "\n")
	return registry.Load(filepath.Join(dir, live+".bundle"))
}

// order is that of rows as the appliance ranks them for a user.
func (s *Shop) order(ctx context.Context, user string, b *registry.Bundle, rows []int) ([]int, error) {
	req := client.RankRequest{UserID: user}
	row := map[string]int{}
	for _, r := range rows {
		row[b.ItemIDs[r]] = r
		req.Items = append(req.Items, b.ItemIDs[r])
	}
	list, err := s.API.Rank(ctx, req)
	if err != nil {
		return nil, err
	}
	if list.Source != "live" || len(list.Items) != len(rows) {
		return nil, fmt.Errorf("rank %d items for %s: %w: %d items, source %s, reason %q", len(rows), user, ErrNotLive, len(list.Items), list.Source, list.Reason)
	}
	out := make([]int, 0, len(rows))
	for _, it := range list.Items {
		out = append(out, row[it.ItemID])
	}
	return out, nil
}

// misordered counts the neighbours in an order whose scores tell them apart,
// and those of them that stand the wrong way round.
func misordered(order []int, scores []float64) (pairs, wrong int) {
	largest := 0.0
	for _, row := range order {
		largest = max(largest, math.Abs(scores[row]))
	}
	for i := 1; i < len(order); i++ {
		d := scores[order[i-1]] - scores[order[i]]
		if math.Abs(d) > gainPrecision*largest {
			pairs++
			if d < 0 {
				wrong++
			}
		}
	}
	return pairs, wrong
}

// meanPlace is where some rows stand in an order, from 0.
func meanPlace(order, rows []int) float64 {
	sum := 0
	for _, r := range rows {
		sum += slices.Index(order, r)
	}
	return float64(sum) / float64(len(rows))
}

// solver solves a model's equations for a user in float64 (als/model has them).
type solver struct {
	m    *model.Model
	gram *mat.SymDense // alpha0 sum_i f_i v_i v_i^T
	mass float64       // alpha0 sum_i f_i
}

func newSolver(m *model.Model) *solver {
	s := &solver{m: m, gram: mat.NewSymDense(m.Rank, nil)}
	alpha := float64(m.Params.Alpha0)
	for j := range m.NumItems {
		f := float64(m.ItemScale[j])
		s.gram.SymRankOne(s.gram, alpha*f, s.vector(j))
		s.mass += alpha * f
	}
	return s
}

func (s *solver) vector(row int) *mat.VecDense {
	v := mat.NewVecDense(s.m.Rank, nil)
	for i := range s.m.Rank {
		v.SetVec(i, float64(s.m.Items[row*s.m.Rank+i]))
	}
	return v
}

// scores are those of all items for a user with some rows, each with a weight.
func (s *solver) scores(rows []int, weight float64) ([]float64, error) {
	k := s.m.Rank
	a, right := mat.NewSymDense(k, nil), mat.NewVecDense(k, nil)
	a.CopySym(s.gram)
	mass := s.mass
	for _, row := range rows {
		c, v := weight*float64(s.m.ItemScale[row]), s.vector(row)
		a.SymRankOne(a, c, v)
		right.AddScaledVec(right, c, v)
		mass += c
	}
	reg := float64(s.m.Params.Lambda) * math.Pow(mass, float64(s.m.Params.Nu))
	for i := range k {
		a.SetSym(i, i, a.At(i, i)+reg)
	}
	var x mat.VecDense
	if err := x.SolveVec(a, right); err != nil {
		return nil, fmt.Errorf("solve in float64: %w", err)
	}
	out := make([]float64, s.m.NumItems)
	for j := range out {
		out[j] = mat.Dot(&x, s.vector(j))
	}
	return out, nil
}

// nearest are the rows with the greatest cosine to a row, but for itself.
func (s *solver) nearest(row, n int) []int {
	v := s.vector(row)
	cosine := make([]float64, s.m.NumItems)
	rows := make([]int, 0, s.m.NumItems)
	for j := range cosine {
		w := s.vector(j)
		if norm := mat.Norm(w, 2); norm > 0 && j != row {
			cosine[j] = mat.Dot(v, w) / norm
			rows = append(rows, j)
		}
	}
	slices.SortFunc(rows, func(i, j int) int { return cmp.Compare(cosine[j], cosine[i]) })
	return rows[:min(n, len(rows))]
}
