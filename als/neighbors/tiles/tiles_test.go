package tiles

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestNegateInverse multiplies a matrix by what became of it.
func TestNegateInverse(t *testing.T) {
	one := func(n int, fn func(int)) error {
		for i := range n {
			fn(i)
		}
		return nil
	}
	for _, n := range []int{1, 5, Side, Side + 1, 2*Side + 7} {
		random := rand.New(rand.NewPCG(1, uint64(n)))
		m, plain := New(n), make([][]float64, n)
		for i := range plain {
			plain[i] = make([]float64, n)
		}
		set := func(i, j int, v float32) {
			plain[i][j], plain[j][i] = float64(v), float64(v)
			*m.Cell(i, j) = v
			if i/Side == j/Side { // both halves of a tile on the diagonal
				*m.Cell(j, i) = v
			}
		}
		for i := range n {
			for j := i; j < n; j++ {
				set(i, j, random.Float32()-.5)
			}
			set(i, i, float32(n)+1) // dominates its row
		}
		if err := m.NegateInverse(one); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			for j := range n {
				sum := 0.0
				for k := range n {
					sum -= plain[i][k] * float64(m.At(k, j))
				}
				if i == j {
					sum--
				}
				if math.Abs(sum) > 1e-4 {
					t.Fatalf("n %d: place %d, %d of the product is off by %v", n, i, j, sum)
				}
			}
		}
	}
	if err := New(3).NegateInverse(one); err == nil {
		t.Error("a matrix of zeros was inverted")
	}
}
