package eval_test

import (
	"context"
	"fmt"

	"vitrine/als"
	"vitrine/als/dataset"
	"vitrine/als/eval"
)

// shop makes two groups of users who buy different halves of ten items; each
// leaves out one item of his half.
func shop() (train, test *dataset.CSR) {
	a, b := dataset.NewBuilder(10), dataset.NewBuilder(10)
	for u := range 20 {
		half := uint32(u % 2 * 5)
		for i := range uint32(5) {
			target := a
			if int(i) == u/2%5 {
				target = b
			}
			if err := target.Add(half+i, 1); err != nil {
				panic(err)
			}
		}
		a.EndRow()
		b.EndRow()
	}
	return a.Build(), b.Build()
}

func ExampleRanking() {
	train, test := shop()
	m, _, err := als.Train(context.Background(), train, als.Options{Rank: 4, Seed: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := eval.Ranking(context.Background(), eval.Input{
		Targets: test, Mask: train, Factors: m, Ks: []int{1},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mean, lo, hi := eval.Interval(result.PerUser(eval.HitRate, 1), 1000, 1)
	fmt.Printf("hit rate %.2f [%.2f %.2f], coverage %.2f\n", mean, lo, hi, result.Coverage(1))
	// Output: hit rate 1.00 [1.00 1.00], coverage 1.00
}

func ExampleRatings() {
	// Every second user gives two stars more; nobody has rated everything.
	b := dataset.NewBuilder(6)
	for u := range 30 {
		for i := range 6 {
			if i == u%6 {
				continue
			}
			if err := b.Add(uint32(i), float32(1+i%3+2*(u%2))); err != nil {
				fmt.Println(err)
				return
			}
		}
		b.EndRow()
	}
	train, test, err := b.Build().Fold(0, 5, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	m, _, err := als.Train(context.Background(), train, als.Options{
		Loss: als.LossExplicit, Biases: true, Rank: 2, BiasLambda: 0.1,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := eval.Ratings(context.Background(), test, eval.Predictions(m), 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(result.RMSE < 0.2, result.Skipped)
	// Output: true 0
}
