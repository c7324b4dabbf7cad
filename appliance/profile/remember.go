package profile

import (
	"sync"

	"vitrine/appliance/frame"
	"vitrine/appliance/signal"
)

const (
	// rememberedUsers is a power of two; of two users that meet in a place the
	// later one stays. With rememberedItems it bounds the memory: 20 MiB when all
	// are full.
	rememberedUsers = 1 << 12
	rememberedItems = 512
)

// weighed remembers what was made of the histories of users: one who asks again
// without having done anything is not weighed again. A history's sequence number
// tells whether it is still the same.
type weighed struct{ slots [rememberedUsers]weights }

// occasion is what weights follow from.
type occasion struct {
	user      uint32
	seq       uint64
	reference int64
	weigher   *signal.Signal
}

type weights struct {
	mu      sync.Mutex
	of      occasion
	weights []signal.Weighted
	// places are the newest, at most most of them, once they were asked for.
	places []uint32
	most   int
}

// lock takes the slot of an occasion: nil where somebody is there just now, for
// weighing is as quick as waiting.
func (w *weighed) lock(o *occasion) *weights {
	slot := &w.slots[o.user%rememberedUsers]
	if !slot.mu.TryLock() {
		return nil
	}
	return slot
}

// get adds the weights of an occasion to dst, if they are remembered.
func (w *weighed) get(o *occasion, dst *frame.Frame) bool {
	slot := w.lock(o)
	if slot == nil {
		return false
	}
	defer slot.mu.Unlock()
	if slot.of != *o {
		return false
	}
	for _, w := range slot.weights {
		dst.Add(w.Item, w.Weight)
	}
	return true
}

func (w *weighed) put(o *occasion, all []signal.Weighted) {
	if len(all) > rememberedItems {
		return
	}
	if slot := w.lock(o); slot != nil {
		defer slot.mu.Unlock()
		slot.of, slot.most = *o, 0
		slot.weights = append(slot.weights[:0], all...)
	}
}

// placesOf appends the newest places of a user's history to dst.
func (w *weighed) placesOf(o *occasion, most int, dst []uint32) ([]uint32, bool) {
	slot := w.lock(o)
	if slot == nil {
		return dst, false
	}
	defer slot.mu.Unlock()
	if slot.of.user != o.user || slot.of.seq != o.seq || slot.most != most || most == 0 {
		return dst, false
	}
	return append(dst, slot.places...), true
}

// putPlaces keeps places beside the weights of the same history.
func (w *weighed) putPlaces(o *occasion, most int, places []uint32) {
	if len(places) > rememberedItems {
		return
	}
	if slot := w.lock(o); slot != nil {
		defer slot.mu.Unlock()
		if slot.of.user == o.user && slot.of.seq == o.seq {
			slot.places, slot.most = append(slot.places[:0], places...), most
		}
	}
}
