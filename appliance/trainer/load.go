package trainer

import (
	"context"
	"fmt"

	"vitrine/appliance/signal"
	"vitrine/bridge/archive"
	"vitrine/bridge/parquet"
)

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
	var units []unit
	w := &window{position: a.Position()}
	var types []int // archive's type number -> signal's code, or -1
	columns := parquet.UserID | parquet.ItemID | parquet.EventType | parquet.Time | parquet.Value
	err = a.ScanEvents(ctx, columns, func(b *parquet.EventBatch) error {
		for n := len(types); n < len(b.EventType.Names); n++ {
			types = append(types, enteringCode(sig, b.EventType.Names[n]))
		}
		u := unit{base: b.Time[0]}
		for _, t := range b.Time {
			u.base = min(u.base, t)
		}
		for i := range b.Len {
			code := types[b.EventType.Code[i]]
			if code < 0 {
				continue
			}
			value := b.Value[i]
			u.users = append(u.users, userRows.row(b.UserID.Code[i], b.UserID.Names))
			u.items = append(u.items, itemRows.row(b.ItemID.Code[i], b.ItemID.Names))
			u.offsets = append(u.offsets, uint32(b.Time[i]-u.base))
			u.types = append(u.types, uint8(code))
			u.values = append(u.values, signal.Amount(value, value == value))
		}
		units = append(units, u)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read archive: %w", err)
	}
	w.userIDs, w.itemIDs = userRows.ids, itemRows.ids
	if err := w.group(ctx, units); err != nil {
		return nil, err
	}
	return w, nil
}

func enteringCode(sig *signal.Signal, name string) int {
	code, ok := sig.TypeCode(name)
	if !ok || !sig.Enters(code) {
		return -1
	}
	return int(code)
}
