package neighbors_test

import (
	"context"
	"fmt"

	"vitrine/als/neighbors"
)

// Example builds two sources from what users looked at, and asks their blend.
func Example() {
	var histories neighbors.Sequences
	histories.Add([]uint32{0, 1, 2})
	histories.Add([]uint32{0, 1, 3})
	histories.Add([]uint32{4, 1, 2})

	next, err := neighbors.Transitions(context.Background(), &histories, neighbors.TransitionOptions{Items: 5})
	if err != nil {
		fmt.Println(err)
		return
	}
	index, err := neighbors.NewSessions(context.Background(), &histories, neighbors.SessionOptions{Items: 5})
	if err != nil {
		fmt.Println(err)
		return
	}
	like, err := neighbors.NewSessionKNN(index, neighbors.KNNOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}

	blend := neighbors.Blend{Items: 5, Sources: []neighbors.Weighted{
		{Source: &neighbors.Lookup{Table: next}, Weight: 1},
		{Source: like, Weight: 0.5},
	}}
	history := []uint32{4, 1}
	var scratch neighbors.Scratch
	for _, hit := range blend.Rank(neighbors.Query{
		History: history, K: 2,
		Exclude: neighbors.Exclude(nil, 5, history),
	}, nil, &scratch) {
		fmt.Printf("item %d: %.2f\n", hit.Row, hit.Score)
	}
	// Output:
	// item 2: 1.50
	// item 3: 0.64
}
