package flow

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"

	"vitrine/bridge/deadletter"
	"vitrine/bridge/event"
)

// What is decompressed is up to whoever produces: some thousand batches of 64 MiB fit
// into one answer of a broker. So one of our batches keeps little of it.
const (
	// heldBytes are what a batch holds of decompressed records. Beyond it, and of
	// what is larger than largeText at once, strings and letters are copied, and the
	// bytes are let go of as soon as they are decoded.
	heldBytes = windowBytes / window
	largeText = windowBytes / 2
)

// errFull ends a batch whose records are too much to be kept together. Those that were
// read go into the log, and the others are read again.
var errFull = errors.New("the records of a batch are too large together")

// memory is what the batches under way hold of decompressed records. While that is
// much, decoders open one of the cluster's batches after another. The zero value
// holds nothing.
type memory struct {
	mu sync.Mutex
	// held are the bytes, busy the decoders at work that do not wait.
	held, busy int
	// record is how many bytes a record had that was kept last, on the average.
	record int
	// freed is closed when there may be room; nil while nobody waits.
	freed chan struct{}
}

// begin and end are around the work of a decoder.
func (m *memory) begin() { m.change(0, 1) }
func (m *memory) end()   { m.change(0, -1) }

// hold notes bytes that are held, or with a negative number no more.
func (m *memory) hold(bytes int) { m.change(bytes, 0) }

func (m *memory) change(held, busy int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held += held
	m.busy += busy
	if m.freed != nil && (held < 0 || busy < 0) {
		close(m.freed)
		m.freed = nil
	}
}

// wait returns when there is room, no other decoder is at work, or with the error of
// ctx. Who waits for a batch before his own waits for its decoder alone, not for its
// turn in the log, so somebody always goes on.
func (m *memory) wait(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.held >= windowBytes && m.busy > 1 {
		m.busy--
		if m.freed == nil {
			m.freed = make(chan struct{})
		}
		freed := m.freed
		m.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
		}
		m.mu.Lock()
		m.busy++
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// learn notes what so many records of a batch were.
func (m *memory) learn(bytes, records int) {
	if records == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.record = bytes / records
}

// records are how many make a batch: fewer than others of those that are long, so that
// it need not be ended before its time.
func (m *memory) records() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return min(batchRecords*3/4, max(1, heldBytes/max(1, m.record)))
}

// detach makes the strings of an event its own, and says how many bytes they are.
func detach(e *event.Event) (size int) {
	for _, s := range []*string{
		&e.UserID, &e.ItemID, &e.Type, &e.EventID, &e.SessionID, &e.RequestID, &e.Scene, &e.Currency, &e.Props,
	} {
		*s = strings.Clone(*s)
		size += len(*s)
	}
	return size
}

// shorten makes the bytes of a letter its own, and no more of them than are kept. A
// letter without a place, as at offset 0, is known by all of them.
func shorten(l *deadletter.Letter) (size int) {
	if l.Offset > 0 && len(l.Raw) > deadletter.MaxRaw {
		l.Raw, l.Truncated = l.Raw[:deadletter.MaxRaw], true
	}
	l.Raw = bytes.Clone(l.Raw)
	return len(l.Raw)
}
