package table

import (
	"context"
	"fmt"
	"io"

	"vitrine/bridge/parquet/tables"
)

// Lists hands each list of a stream of recommendations to put: a user and his
// items, best first.
func Lists(ctx context.Context, r io.Reader, progress func(rows int64), put func(user string, items []string) error) (Result, error) {
	return lines(ctx, r, progress, func(line []byte) error {
		row, err := parse[tables.List[string]](line)
		if err != nil {
			return fmt.Errorf("understand %.200q: %w", line, err)
		}
		items := make([]string, len(row.Recommendations))
		for i, place := range row.Recommendations {
			items[i] = place.ItemID
		}
		return put(row.UserID, items)
	})
}
