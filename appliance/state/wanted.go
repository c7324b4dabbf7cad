package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"time"

	"vitrine/bridge"
	"vitrine/internal/durable"
	"vitrine/internal/logkey"
	"vitrine/internal/pause"
)

// wanted keeps what is wanted again of topics in a file, for a start at which the
// mark of the lost frame is not in the log any more. It is written before the
// archive takes frames: so the file is of no earlier a moment than the archive, and
// what it has and the log behind the archive are all there is to know.
type wanted struct {
	path string
	log  *slog.Logger

	mu sync.Mutex
	// holes are what the file has, as of the frame at.
	holes []bridge.Hole
	at    uint64
}

// wantedFile is the file.
type wantedFile struct {
	Wanted []wantedSpan `json:"wanted"`
}

// wantedSpan is a bridge.Hole; Topic is a Source.Name.
type wantedSpan struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from"`
	To        int64  `json:"to"`
}

// read takes the file, which mostly is not there. A damaged one is told and removed:
// it keeps nobody from starting.
func (w *wanted) read() error {
	var file wantedFile
	err := durable.ReadJSON(w.path, &file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, durable.ErrDamaged):
		w.log.Warn("what is wanted again of topics cannot be read: what the log has lost of them stays lost", logkey.Path, w.path, logkey.Error, err)
		return w.write(nil)
	case err != nil:
		return fmt.Errorf("read what is wanted again of topics: %w", err)
	}
	for _, s := range file.Wanted {
		if s.From >= 0 && s.From <= s.To {
			w.holes = append(w.holes, bridge.Hole{Place: bridge.Place{Name: s.Topic, Partition: s.Partition}, From: s.From, To: s.To})
		}
	}
	return nil
}

// keep makes the file say what is wanted as of a frame.
func (w *wanted) keep(at uint64, holes []bridge.Hole) error {
	if !slices.Equal(holes, w.holes) {
		if err := w.write(holes); err != nil {
			return fmt.Errorf("keep what is wanted again of topics: %w", err)
		}
	}
	w.holes, w.at = holes, at
	return nil
}

// ranges tells whether some of a partition is wanted that lies before its position.
// Where all from there on is, the position tells what has come of it.
func (w *wanted) ranges() bool {
	return slices.ContainsFunc(w.holes, func(h bridge.Hole) bool { return h.From < h.To })
}

func (w *wanted) write(holes []bridge.Hole) error {
	if len(holes) == 0 {
		// One that came back would have the archive take its records a second time.
		return durable.Remove(w.path)
	}
	var file wantedFile
	for _, h := range holes {
		file.Wanted = append(file.Wanted, wantedSpan{h.Place.Name, h.Place.Partition, h.From, h.To})
	}
	return durable.ReplaceJSON(w.path, file)
}

// keepPatience is long for what takes a fraction of a millisecond. A frame of unknown
// outcome is applied when the next one comes.
const keepPatience = time.Second

// Keep belongs before a commit of the archive, whose last frame is last: it keeps
// what is then still wanted again of topics. Where nothing is, as nearly always,
// it does nothing.
func (s *State) Keep(ctx context.Context, last uint64) error {
	w := &s.wanted
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.holes) == 0 || last <= w.at {
		return nil
	}
	holes, at := s.Pump.Wanted()
	for deadline := time.Now().Add(keepPatience); at < last; holes, at = s.Pump.Wanted() {
		// The archive reads a frame as soon as it is in the log, and the pump knows
		// that a moment later. Between two frames it waits for the archive at times,
		// so Between is not for here.
		if time.Now().After(deadline) {
			return fmt.Errorf("keep what is wanted again of topics: frame %d of the log is not applied, %d is", last, at)
		}
		if err := pause.For(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	return w.keep(at, holes)
}

// GiveUp wants nothing again of the partitions that of says, and returns what it was
// when that is on disk. A mark of it that the archive has not passed yet brings it
// back at the next start.
func (s *State) GiveUp(ctx context.Context, of func(bridge.Place) bool, why bridge.Why) (given []bridge.Hole, err error) {
	if err := s.Pump.Between(ctx, func(uint64) { given = s.Pump.GiveUp(of, why) }); err != nil {
		return nil, fmt.Errorf("give up what is wanted again of topics: %w", err)
	}
	w := &s.wanted
	w.mu.Lock()
	defer w.mu.Unlock()
	holes, at := s.Pump.Wanted()
	return given, w.keep(at, holes)
}
