package als_test

import (
	"context"
	"fmt"

	"vitrine/als"
	"vitrine/als/dataset"
)

func ExampleTrain() {
	// Who bought what, and how often.
	users := []uint32{0, 0, 1, 1, 2, 2, 3}
	items := []uint32{0, 1, 0, 1, 2, 3, 2}
	count := []float32{1, 2, 1, 1, 3, 1, 1}
	data, err := dataset.FromTriples(4, 4, users, items, count)
	if err != nil {
		fmt.Println(err)
		return
	}
	m, report, err := als.Train(context.Background(), data, als.Options{Rank: 2, Unobserved: 1, Iterations: 10})
	if err != nil {
		fmt.Println(err)
		return
	}
	// User 3 has item 2 only; those who have it have item 3 as well.
	fmt.Println(report.Iterations, m.Score(3, 3) > m.Score(3, 0))
	// Output: 10 true
}

func ExampleTrain_ratings() {
	// As Spark MLlib's ALS(rank=2, maxIter=20, regParam=0.1).
	users := []uint32{0, 0, 1, 1, 2}
	items := []uint32{0, 1, 0, 1, 0}
	stars := []float32{5, 1, 4, 1, 5}
	data, err := dataset.FromTriples(3, 2, users, items, stars)
	if err != nil {
		fmt.Println(err)
		return
	}
	m, _, err := als.Train(context.Background(), data, als.Options{Loss: als.LossExplicit, Rank: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.0f\n", m.Score(2, 1))
	// Output: 1
}

func ExampleTrain_progress() {
	data, err := dataset.FromTriples(2, 2, []uint32{0, 1}, []uint32{0, 1}, []float32{1, 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, _, err = als.Train(context.Background(), data, als.Options{Rank: 1, Iterations: 3, Progress: func(p als.Progress) {
		fmt.Printf("%d of %d\n", p.Iteration, p.Iterations)
	}})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// 1 of 3
	// 2 of 3
	// 3 of 3
}
