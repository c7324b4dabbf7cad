package als_test

import (
	"context"
	"fmt"

	"vitrine/als"
	"vitrine/als/dataset"
	"vitrine/als/model"
	"vitrine/als/topk"
)

// From purchases to the best items for a known and for a new customer: package
// dataset holds the matrix, topk searches the catalogue, model folds in whom the
// training did not see.
func Example() {
	// Customers 0 to 5 buy items 0 to 2, customers 6 to 11 items 3 to 5; customer
	// 0 has not bought item 2 yet.
	b := dataset.NewBuilder(6)
	for user := range 12 {
		for i := range uint32(3) {
			item := uint32(user/6*3) + i
			if user == 0 && item == 2 {
				continue
			}
			if err := b.Add(item, 1); err != nil {
				fmt.Println(err)
				return
			}
		}
		b.EndRow()
	}
	data := b.Build()
	m, _, err := als.Train(context.Background(), data, als.Options{Rank: 2, Unobserved: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	index := topk.New(m.Items, m.NumItems, m.Rank)
	best := func(vector []float32, bought []uint32) uint32 {
		var hidden topk.Mask
		hidden.Reset(index)
		for _, item := range bought {
			hidden.Hide(item)
		}
		var scratch topk.Scratch
		return index.Search(vector, 1, &hidden, nil, &scratch)[0].Row
	}
	bought, _ := data.Row(0)
	fmt.Println("customer 0: item", best(m.Users[:m.Rank], bought))

	bought = []uint32{3, 5}
	vector := make([]float32, m.Rank)
	var scratch model.Scratch
	if err := model.NewFolder(m).FoldIn(vector, bought, []float32{1, 1}, &scratch); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("a new customer: item", best(vector, bought))
	// Output:
	// customer 0: item 2
	// a new customer: item 4
}

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
