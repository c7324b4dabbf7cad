package jetstream

import (
	"fmt"
	"log/slog"
	"sync/atomic"

	"vitrine/bridge"
	"vitrine/internal/disk"
	"vitrine/internal/logkey"
)

// DefaultMinFree holds the largest frame, the Parquet files of one commit and
// what else is written meanwhile.
const DefaultMinFree = 256 << 20

// room keeps a part of the disk free. A store that has run into the end of the
// disk answers nothing any more, so the bus refuses before that; and the archive
// needs room to take the log over.
type room struct {
	dir string
	// min is what an append leaves free, in bytes.
	min uint64
	log *slog.Logger
	// short is true from the first refusal until resume bytes are free.
	short atomic.Bool
}

// resume is what must be free to end a shortage: a quarter more than what
// begins one, so that a disk at the edge does not refuse every other frame.
func (r *room) resume() uint64 { return r.min + r.min/4 }

// check refuses when n bytes more would leave too little free. A disk that
// cannot be asked refuses nothing: the write will tell.
func (r *room) check(n int) error {
	free, _, err := disk.Space(r.dir)
	if err != nil {
		return nil
	}
	need := r.min + uint64(n)
	if r.short.Load() {
		need = max(need, r.resume())
	}
	if free >= need {
		if r.short.CompareAndSwap(true, false) {
			r.log.Info("bus takes events again, the disk has room", logkey.Dir, r.dir, logkey.Free, free)
		}
		return nil
	}
	if r.short.CompareAndSwap(false, true) {
		r.log.Error("bus refuses events, the disk is nearly full", logkey.Dir, r.dir, logkey.Free, free,
			logkey.Hint, fmt.Sprintf("free space on that disk: events are taken again at %d MiB (bus.min_free)", r.resume()>>20))
	}
	return fmt.Errorf("%w: %d MiB are free on the disk of %s, and %d MiB must be", bridge.ErrDiskFull, free>>20, r.dir, need>>20)
}
