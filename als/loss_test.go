package als

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"vitrine/als/dataset"
	"vitrine/als/model"
)

// tiny makes a dense-ish small problem.
func tiny(t *testing.T, users, items int) *dataset.CSR {
	t.Helper()
	r := rand.New(rand.NewPCG(11, 12))
	b := dataset.NewBuilder(items)
	for range users {
		for i := range items {
			if r.IntN(3) == 0 {
				if err := b.Add(uint32(i), 0.3+2*r.Float32()); err != nil {
					t.Fatal(err)
				}
			}
		}
		b.EndRow()
	}
	return b.Build()
}

func start(t *testing.T, data *dataset.CSR, opt Options) *trainer {
	t.Helper()
	if err := opt.complete(); err != nil {
		t.Fatal(err)
	}
	return newTrainer(data, &opt)
}

// denseLoss is L of the package documentation written out over every cell.
func denseLoss(m *model.Model, data *dataset.CSR, userScale []float32) float64 {
	alpha0, nu := float64(m.Params.Alpha0), float64(m.Params.Nu)
	c := mat.NewDense(m.NumUsers, m.NumItems, nil)
	for u := range m.NumUsers {
		cols, w := data.Row(u)
		for n, i := range cols {
			c.Set(u, int(i), float64(w[n]))
		}
	}
	total, massU, massI := 0.0, make([]float64, m.NumUsers), make([]float64, m.NumItems)
	for u := range m.NumUsers {
		for i := range m.NumItems {
			s := 0.0
			for f := range m.Rank {
				s += float64(m.Users[u*m.Rank+f]) * float64(m.Items[i*m.Rank+f])
			}
			g, f, w := float64(userScale[u]), float64(m.ItemScale[i]), c.At(u, i)
			total += g * f * (w*(1-s)*(1-s) + alpha0*s*s)
			massU[u] += f * (w + alpha0)
			massI[i] += g * (w + alpha0)
		}
	}
	norm := func(v []float32) float64 {
		n := 0.0
		for _, x := range v {
			n += float64(x) * float64(x)
		}
		return n
	}
	for u, mass := range massU {
		total += float64(m.Params.Lambda) * float64(userScale[u]) * math.Pow(mass, nu) * norm(m.Users[u*m.Rank:(u+1)*m.Rank])
	}
	for i, mass := range massI {
		total += float64(m.Params.Lambda) * float64(m.ItemScale[i]) * math.Pow(mass, nu) * norm(m.Items[i*m.Rank:(i+1)*m.Rank])
	}
	return total
}

func TestLossEqualsDenseOracle(t *testing.T) {
	data := tiny(t, 9, 7)
	for _, p := range []float64{0, 0.5} {
		for _, nu := range []float64{0, 0.5, 1} {
			tr := start(t, data, Options{Rank: 3, Nu: new(nu), FrequencyPower: new(p)})
			for range 3 {
				got, want := tr.loss(), denseLoss(tr.model(), data, tr.sides[userSide].scale)
				if math.Abs(got-want) > 1e-9*want {
					t.Errorf("p %v, nu %v: loss %v, oracle %v", p, nu, got, want)
				}
				if err := tr.halfStep(context.Background(), itemSide, true); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func TestLossNeverRisesPerHalfStep(t *testing.T) {
	data := tiny(t, 60, 40)
	for _, c := range []struct {
		exact bool
		p, nu float64
	}{{true, 0, 1}, {true, 0.5, 1}, {true, 1, 0.5}, {true, 0.5, 0}, {false, 0.5, 1}} {
		tr := start(t, data, Options{Rank: 10, Nu: new(c.nu), FrequencyPower: new(c.p)})
		before := tr.loss()
		for n := range 20 {
			if err := tr.halfStep(context.Background(), 1-n%2, c.exact); err != nil {
				t.Fatal(err)
			}
			after := tr.loss()
			// 1e-6: the float32 rounding of the factors at the minimum.
			if after > before*(1+1e-6) {
				t.Errorf("%+v: half-step %d raised the loss from %v to %v", c, n, before, after)
			}
			before = after
		}
	}
}

func TestCancelledHalfStepLeavesTheRowsAlone(t *testing.T) {
	tr := start(t, tiny(t, 60, 40), Options{Rank: 4})
	before := slices.Clone(tr.sides[userSide].factors)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := tr.halfStep(ctx, userSide, true); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if !slices.Equal(before, tr.sides[userSide].factors) {
		t.Error("a cancelled half-step went on")
	}
}

// TestExactHalfStepIsTheMinimum moves every element of a solved row both ways:
// the dense loss must not fall.
func TestExactHalfStepIsTheMinimum(t *testing.T) {
	data := tiny(t, 8, 6)
	tr := start(t, data, Options{Rank: 3})
	for n := range 4 {
		which := 1 - n%2
		if err := tr.halfStep(context.Background(), which, true); err != nil {
			t.Fatal(err)
		}
		m := tr.model()
		best := denseLoss(m, data, tr.sides[userSide].scale)
		factors := tr.sides[which].factors
		for i, v := range factors {
			for _, d := range []float32{-0.01, 0.01} {
				factors[i] = v + d
				if l := denseLoss(m, data, tr.sides[userSide].scale); l < best {
					t.Fatalf("half-step %d: moving element %d by %v lowers the loss from %v to %v", n, i, d, best, l)
				}
			}
			factors[i] = v
		}
	}
}
