package appliance

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"vitrine/appliance/datadir"
	"vitrine/bridge/jetstream"
)

// Fault is a failure that an operator can mend.
type Fault = datadir.Fault

// openFault is what kept the parts from opening. Libraries hide a full disk
// behind errors of their own, so the disk is asked.
func openFault(err error, dir string) error {
	const little = 1 << 20
	if free, _ := space(dir); errors.Is(err, syscall.ENOSPC) || free >= 0 && free < little {
		return datadir.Full("open "+dir, dir, err)
	}
	return fmt.Errorf("open %s: %w", dir, err)
}

// released is a time that no right clock is before.
const released = 1_735_689_600 // 2025-01-01

// checkClock refuses a clock that was never set. Events that bring a later
// time of their own would be set back to it, and those without one be dated
// by it, for ever.
func checkClock(now time.Time) error {
	if now.Unix() >= released {
		return nil
	}
	return &Fault{
		Op: "read the clock", Err: fmt.Errorf("it says %s, and events are kept by date", now.UTC().Format(time.DateOnly)),
		Hint: "set it and start again: chronyc makestep, or date -s; systemctl enable chronyd keeps it right",
	}
}

// Damaged tells whether an appliance ended because its log is damaged on the
// disk, which another start mends.
func Damaged(err error) bool { return errors.Is(err, jetstream.ErrDamaged) }
