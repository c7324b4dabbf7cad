package dataset_test

import (
	"fmt"

	"vitrine/als/dataset"
)

func ExampleFromTriples() {
	// Three events of two users; the second user's two of item 1 add up.
	users, items := []uint32{0, 1, 1}, []uint32{2, 1, 1}
	m, err := dataset.FromTriples(2, 3, users, items, []float32{1, 2, 3})
	if err != nil {
		fmt.Println(err)
		return
	}
	cols, weights := m.Row(1)
	fmt.Println(m.NNZ(), cols, weights)
	// Output: 2 [1] [5]
}

func ExampleCSR_Transpose() {
	m, err := dataset.FromTriples(2, 3, []uint32{0, 1, 1}, []uint32{2, 2, 0}, []float32{1, 2, 3})
	if err != nil {
		fmt.Println(err)
		return
	}
	byItem := m.Transpose()
	users, weights := byItem.Row(2)
	fmt.Println(users, weights)
	// Output: [0 1] [1 2]
}

func ExampleCSR_LeaveLast() {
	b := dataset.NewBuilder(10)
	for _, item := range []uint32{2, 5, 7} {
		if err := b.Add(item, 1); err != nil {
			fmt.Println(err)
			return
		}
	}
	b.EndRow()
	// Item 5 came last, and before it item 7.
	train, test, times, err := b.Build().LeaveLast([]int64{100, 300, 200}, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(train.Indices, times, test.Indices)
	// Output: [2 7] [100 200] [5]
}

func ExampleCSR_Fold() {
	m, err := dataset.FromTriples(2, 2, []uint32{0, 0, 1, 1}, []uint32{0, 1, 0, 1}, []float32{5, 4, 3, 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	tested := 0
	for n := range 3 {
		train, test, err := m.Fold(n, 3, 1)
		if err != nil {
			fmt.Println(err)
			return
		}
		tested += test.NNZ()
		fmt.Println(train.NNZ()+test.NNZ() == m.NNZ())
	}
	fmt.Println(tested)
	// Output:
	// true
	// true
	// true
	// 4
}
