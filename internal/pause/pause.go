// Package pause waits for a time, or until a context ends.
//
// It owns nothing but that and must not import anything of this module.
package pause

import (
	"context"
	"time"
)

// For returns after d, or ctx.Err() as soon as ctx ends.
func For(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
