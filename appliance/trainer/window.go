package trainer

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"vitrine/als/dataset"
	"vitrine/appliance/signal"
	"vitrine/bridge/archive"
	"vitrine/bridge/parquet"
)

// testShare is the part of the newest interactions that the model is judged
// on and does not see before.
const testShare = 0.1

// beyondReference is the share of the newest events that do not move the
// reference: a few clicks years after an old log must not make all of it weigh
// nothing. They count as if they happened at the reference.
const beyondReference = 0.01

// reference is the time of the newest event but for the last hundredth, at
// least one where there are twenty. times is in any order.
func reference(times []int64) int64 {
	share := beyondReference
	if n := len(times); n >= 20 && n < 100 {
		share = 1 / float64(n)
	}
	return dataset.TimeCut(times, share).Time
}

// window is the training data: every interaction that enters a history,
// grouped by user, in the order in which a profile holds it.
type window struct {
	// userIDs and itemIDs name the rows.
	userIDs, itemIDs []string
	// user u's interactions are events[starts[u]:starts[u+1]], by time, equal
	// times in log order.
	starts []int
	events []signal.Interaction
	// newest is the time that ages count from; see reference.
	newest int64
	// position is the last bus sequence that the archive held.
	position uint64
}

// rows numbers the ids of one column in the order in which they enter: what
// was only shown gets no row, for no factors could be found for it.
type rows struct {
	ids []string
	// of is the row, plus one, by the scan's number of the id.
	of []uint32
}

func (r *rows) row(code uint32, names []string) uint32 {
	if int(code) >= len(r.of) {
		r.of = append(r.of, make([]uint32, len(names)-len(r.of))...)
	}
	if r.of[code] == 0 {
		r.ids = append(r.ids, names[code])
		r.of[code] = uint32(len(r.ids))
	}
	return r.of[code] - 1
}

// read scans the archive.
func read(ctx context.Context, dir string, sig *signal.Signal) (*window, error) {
	a, err := archive.OpenReadOnly(ctx, archive.Options{Dir: dir})
	if err != nil {
		return nil, err
	}
	var userRows, itemRows rows
	var users []uint32
	var events []signal.Interaction
	w := &window{position: a.Position()}
	var types []int // archive's type number -> signal's code, or -1
	columns := parquet.UserID | parquet.ItemID | parquet.EventType | parquet.Time | parquet.Value
	err = a.ScanEvents(ctx, columns, func(b *parquet.EventBatch) error {
		for n := len(types); n < len(b.EventType.Names); n++ {
			types = append(types, enteringCode(sig, b.EventType.Names[n]))
		}
		for i := range b.Len {
			code := types[b.EventType.Code[i]]
			if code < 0 {
				continue
			}
			users = append(users, userRows.row(b.UserID.Code[i], b.UserID.Names))
			value := b.Value[i]
			events = append(events, signal.Interaction{
				Time: b.Time[i], Value: signal.Amount(value, value == value), Type: uint8(code),
				Item: itemRows.row(b.ItemID.Code[i], b.ItemID.Names),
			})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read archive: %w", err)
	}
	w.userIDs, w.itemIDs = userRows.ids, itemRows.ids
	w.group(users, events)
	return w, nil
}

func enteringCode(sig *signal.Signal, name string) int {
	code, ok := sig.TypeCode(name)
	if !ok || !sig.Enters(code) {
		return -1
	}
	return int(code)
}

// group sorts the interactions by user, then time. The scan came in log order
// within a day, so a stable sort keeps equal times in log order.
func (w *window) group(users []uint32, events []signal.Interaction) {
	w.starts = make([]int, len(w.userIDs)+1)
	for _, u := range users {
		w.starts[u+1]++
	}
	for u := range w.userIDs {
		w.starts[u+1] += w.starts[u]
	}
	next := slices.Clone(w.starts)
	w.events = make([]signal.Interaction, len(events))
	for i, u := range users {
		w.events[next[u]] = events[i]
		next[u]++
	}
	w.newest = reference(timesOf(events))
	for u := range w.userIDs {
		slices.SortStableFunc(w.of(u), func(a, b signal.Interaction) int { return cmp.Compare(a.Time, b.Time) })
	}
}

func (w *window) of(user int) []signal.Interaction {
	return w.events[w.starts[user]:w.starts[user+1]]
}

// split finds, for every user, how many of his interactions belong to the
// older part, the reference of those, and the time of the cut.
func (w *window) split() (old []int, newestOld, cutTime int64) {
	times := timesOf(w.events)
	cut := dataset.TimeCut(times, testShare)
	cutTime = cut.Time
	old = make([]int, len(w.userIDs))
	var older []int64
	for u := range w.userIDs {
		for _, in := range w.of(u) {
			if cut.Old(in.Time) {
				old[u]++
				older = append(older, in.Time)
			}
		}
	}
	return old, reference(older), cutTime
}

func timesOf(events []signal.Interaction) []int64 {
	times := make([]int64, len(events))
	for i := range events {
		times[i] = events[i].Time
	}
	return times
}

// matrix weighs a part of every user's interactions, ages counted from now.
func (w *window) matrix(sig *signal.Signal, now int64, part func(user int) []signal.Interaction) (*dataset.CSR, error) {
	b := dataset.NewBuilder(len(w.itemIDs))
	var row []signal.Weighted
	for u := range w.userIDs {
		row = sig.Weigh(sig.Trim(part(u)), now, row)
		for _, c := range row {
			if err := b.Add(c.Item, c.Weight); err != nil {
				return nil, fmt.Errorf("weigh user %q: %w", w.userIDs[u], err)
			}
		}
		b.EndRow()
	}
	return b.Build(), nil
}

// popularity is every item's decayed weight over a part of the window, bounded
// so that a few ratings without measure are not more than a float32 can hold.
func (w *window) popularity(sig *signal.Signal, now int64, part func(user int) []signal.Interaction) []float32 {
	sums := make([]float64, len(w.itemIDs))
	for u := range w.userIDs {
		for _, in := range part(u) {
			sums[in.Item] += sig.Strength(&in) * sig.Decay(now-in.Time)
		}
	}
	out := make([]float32, len(sums))
	for i, s := range sums {
		out[i] = float32(min(s, math.MaxFloat32))
	}
	return out
}
