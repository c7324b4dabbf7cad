package bridge

import (
	"errors"
	"fmt"
)

var (
	// ErrBusFull says that the log has no room (its own limit or the disk's).
	// Nothing of the frame was kept; the same records are taken once there is
	// room again.
	ErrBusFull = errors.New("the bus is full")

	// ErrDiskFull is an ErrBusFull: it is the disk that has no room.
	ErrDiskFull = fmt.Errorf("%w: the disk has too little room", ErrBusFull)

	// ErrUnavailable says that the log cannot be reached now. Nothing of the
	// frame was kept.
	ErrUnavailable = errors.New("the bus cannot be reached")

	// ErrUnsure says that a frame may be in the log or not, because the log broke
	// and cannot be asked. Records with an event id can be sent again.
	ErrUnsure = errors.New("the bus broke, and it is not known whether it has kept the records")

	// ErrClosed says that the pump has ended and takes no more records.
	ErrClosed = errors.New("the ingest pump is closed")

	// ErrFenced says that the log ends at another sequence than the writer
	// believed: somebody else writes to it.
	ErrFenced = errors.New("another writer has appended to the bus")

	// ErrTooLarge says that one record alone is larger than a frame may be.
	ErrTooLarge = errors.New("the record is too large for a frame")

	// errWithdrawn is why what comes behind a withdrawn batch of a lane fails.
	errWithdrawn = errors.New("a batch before it was withdrawn")
)

// GapError says that frames which must exist are not in the log.
type GapError struct {
	// Want is the sequence that should have come next.
	Want uint64
	// Got is the sequence that came instead; 0 when nothing came.
	Got uint64
}

// Error names the missing range.
func (e *GapError) Error() string {
	if e.Got == 0 {
		return fmt.Sprintf("the bus has a gap: frame %d and later ones are missing", e.Want)
	}
	return fmt.Sprintf("the bus has a gap: frames %d to %d are missing", e.Want, e.Got-1)
}

// AheadError says that a position lies beyond the end of the log, as when the
// log was wiped or restored from an older copy.
type AheadError struct {
	// Position is the sequence to read from.
	Position uint64
	// Last is the newest sequence of the log.
	Last uint64
}

// Error names both ends.
func (e *AheadError) Error() string {
	return fmt.Sprintf("position %d lies beyond the end of the bus (frame %d): the bus was wiped or is an older copy", e.Position, e.Last)
}
