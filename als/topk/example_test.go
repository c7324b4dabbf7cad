package topk_test

import (
	"fmt"

	"vitrine/als/topk"
)

func Example() {
	items := []float32{ // four items of two factors
		1, 0,
		0.9, 0.1,
		0, 2,
		-1, 0,
	}
	ix := topk.New(items, 4, 2)
	var hidden topk.Mask
	hidden.Reset(ix)
	hidden.Hide(0) // the user has it

	var scratch topk.Scratch
	for _, hit := range ix.Search([]float32{1, 0.2}, 2, &hidden, nil, &scratch) {
		fmt.Printf("item %d scores %.2f\n", hit.Row, hit.Score)
	}
	alike := ix.Similar(0, 1, nil, nil, &scratch)
	fmt.Println("most like item 0: item", alike[0].Row)
	// Output:
	// item 1 scores 0.92
	// item 2 scores 0.40
	// most like item 0: item 1
}
