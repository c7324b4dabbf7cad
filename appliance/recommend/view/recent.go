package view

import (
	"sync"
	"sync/atomic"
)

// maxRecent bounds what a view remembers of a sort: one for each scene with rules
// of its own.
const maxRecent = 8

// recent are the things of a sort that were asked for last, newest first. They
// are read without a lock.
type recent[T any] struct {
	making sync.Mutex // one is made at a time
	last   atomic.Pointer[[]*T]
}

// find is the first that is wanted, nil where there is none.
func (r *recent[T]) find(wanted func(*T) bool) *T {
	if last := r.last.Load(); last != nil {
		for _, one := range *last {
			if wanted(one) {
				return one
			}
		}
	}
	return nil
}

// put puts one in front, in the place of those it takes over from. The caller
// holds making.
func (r *recent[T]) put(next *T, over func(*T) bool) {
	keep := []*T{next}
	if last := r.last.Load(); last != nil {
		for _, one := range *last {
			if !over(one) && len(keep) < maxRecent {
				keep = append(keep, one)
			}
		}
	}
	r.last.Store(&keep)
}
