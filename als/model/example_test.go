package model_test

import (
	"context"
	"fmt"

	"vitrine/als"
	"vitrine/als/dataset"
	"vitrine/als/model"
)

func ExampleFolder_FoldIn() {
	// Even users buy items 0 to 2, odd ones 3 to 5.
	b := dataset.NewBuilder(6)
	for u := range 12 {
		for i := range uint32(3) {
			if err := b.Add(uint32(u%2*3)+i, 1); err != nil {
				fmt.Println(err)
				return
			}
		}
		b.EndRow()
	}
	m, _, err := als.Train(context.Background(), b.Build(), als.Options{Rank: 2, Unobserved: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	// A user whom the training did not know has bought item 4.
	user := make([]float32, m.Rank)
	var scratch model.Scratch
	if err := model.NewFolder(m).FoldIn(user, []uint32{4}, []float32{1}, &scratch); err != nil {
		fmt.Println(err)
		return
	}
	score := func(item int) (s float32) {
		for f, v := range user {
			s += v * m.Items[item*m.Rank+f]
		}
		return s
	}
	fmt.Println(score(3) > 2*score(1), score(5) > 2*score(0))
	// Output: true true
}
