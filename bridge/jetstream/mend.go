package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"vitrine/bridge/event/frames"
	"vitrine/internal/durable"
	"vitrine/internal/logkey"
)

const (
	// storeDir is the server's own folder, damagedDir what it is called while a
	// new one is made from it, mendedDir when there is one and it goes.
	storeDir   = "jetstream"
	damagedDir = "damaged"
	mendedDir  = "mended"
	lossFile   = "lost.json"
	// lossMost bounds the list of losses; the oldest are dropped from it.
	lossMost = 100
)

// Loss is a range of frames that was found to be damaged and is lost.
type Loss struct {
	First uint64    `json:"first"`
	Last  uint64    `json:"last"`
	Found time.Time `json:"found"`
}

// losses is the list on disk.
type losses struct {
	// Frames counts all, also those of losses that are not listed any more.
	Frames uint64 `json:"frames"`
	Losses []Loss `json:"losses"`
	// Unlisted is the newest frame of those that are not listed any more.
	Unlisted uint64 `json:"unlisted,omitempty"`
}

// add takes a loss, unless it is listed: a life that ends while it mends leaves it
// to the next one to find it again.
func (l *losses) add(d Loss) {
	if slices.ContainsFunc(l.Losses, func(o Loss) bool { return o.First == d.First && o.Last == d.Last }) {
		return
	}
	l.Frames += d.Last - d.First + 1
	l.Losses = append(l.Losses, d)
}

// shorten keeps the newest of the list.
func (l *losses) shorten() {
	n := max(0, len(l.Losses)-lossMost)
	for _, d := range l.Losses[:n] {
		l.Unlisted = max(l.Unlisted, d.Last)
	}
	l.Losses = l.Losses[n:]
}

// listed counts the frames of the list.
func (l *losses) listed() (frames uint64) {
	for _, d := range l.Losses {
		frames += d.Last - d.First + 1
	}
	return frames
}

// readLosses reads the list. It lies on the disk that has damaged the log, and keeps
// nobody from starting.
func readLosses(opt *Options) (l losses) {
	path := filepath.Join(opt.Dir, lossFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return losses{}
	}
	if err == nil {
		err = json.Unmarshal(text, &l)
	}
	if err != nil {
		opt.Log.Warn("bus: the list of lost frames cannot be read, and begins anew", logkey.Path, path, logkey.Error, err)
		return losses{}
	}
	return l
}

// elsewhere is the sequence up to which damage is no loss.
func (o *Options) elsewhere() uint64 { return max(o.After, o.passed) }

// note adds what is lost to the list.
func note(opt *Options, found []Damage) error {
	l := readLosses(opt)
	for _, d := range found {
		if d.First = max(d.First, opt.elsewhere()+1); d.First > d.Last {
			continue // others have them
		}
		opt.Log.Error("bus: frames are damaged on the disk and lost here", logkey.First, d.First, logkey.Last, d.Last, logkey.Dir, opt.Dir,
			logkey.Hint, "check the disk and the memory of this machine; what came from Kafka is read again")
		l.add(Loss{d.First, d.Last, time.Now().UTC().Truncate(time.Second)})
	}
	l.shorten()
	return durable.Replace(filepath.Join(opt.Dir, lossFile), func(f *os.File) error {
		return json.NewEncoder(f).Encode(l)
	})
}

// scrub looks at every frame of the store before the server does. Where some
// are damaged, or in a file that the server does not know, the store is put aside, for
// mend.
func scrub(opt *Options) error {
	store, aside := filepath.Join(opt.Dir, storeDir), filepath.Join(opt.Dir, damagedDir)
	if err := os.RemoveAll(filepath.Join(opt.Dir, mendedDir)); err != nil {
		return fmt.Errorf("remove what is left of a damaged store: %w", err)
	}
	if _, err := os.Stat(aside); err == nil {
		// The last life ended while it mended: what it made is made anew.
		if err := os.RemoveAll(store); err != nil {
			return fmt.Errorf("remove a store that was not finished: %w", err)
		}
		return nil
	}
	found, err := walk(store, opt.elsewhere(), func(uint64, []byte) error { return nil })
	if err != nil {
		return err
	}
	all, err := segments(store)
	if err != nil {
		return err
	}
	// One that is said to be damaged the server does not know, though it may be sound.
	if len(found) == 0 && !slices.ContainsFunc(all, func(s segment) bool { return s.damaged }) {
		return nil
	}
	opt.Log.Warn("bus: the log is damaged and made anew from what is sound", logkey.Dir, opt.Dir)
	if err := os.Rename(store, aside); err != nil {
		return fmt.Errorf("put the damaged store aside: %w", err)
	}
	return durable.SyncDir(opt.Dir)
}

// mend fills a new store from one that was put aside: every sound frame keeps its
// sequence, and where one is lost there is a frame without records. What a disk gives at
// the second try only is not lost.
func (n *node) mend(ctx context.Context, opt *Options) error {
	aside := filepath.Join(opt.Dir, damagedDir)
	if _, err := os.Stat(aside); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	found, err := walk(aside, opt.elsewhere(), func(uint64, []byte) error { return nil })
	if err != nil {
		return err
	}
	var blank frames.Builder
	nothing := blank.Seal()
	last, begun := uint64(0), false
	add := func(seq uint64, frame []byte) error {
		if !begun {
			begun, last = true, seq-1
			if err := n.purge(ctx, seq); err != nil {
				return err
			}
		}
		for last+1 < seq {
			if _, err := n.append(ctx, nothing, last); err != nil {
				return err
			}
			last++
		}
		if _, err := n.append(ctx, frame, last); err != nil {
			return err
		}
		last++
		return nil
	}
	if len(found) > 0 && found[0].First == 0 && opt.elsewhere() < found[0].Last {
		// The damage begins the log.
		if err := add(opt.elsewhere()+1, nothing); err != nil {
			return fmt.Errorf("make the log anew: %w", err)
		}
	}
	if _, err := walk(aside, opt.elsewhere(), add); err != nil {
		return fmt.Errorf("make the log anew: %w", err)
	}
	if end := len(found) - 1; end >= 0 && found[end].Last > last {
		if err := add(found[end].Last, nothing); err != nil {
			return fmt.Errorf("make the log anew: %w", err)
		}
	}
	if err := note(opt, found); err != nil {
		return err
	}
	// As long as the folder has its name it is what the log is made from, so half of
	// it must not have it.
	mended := filepath.Join(opt.Dir, mendedDir)
	if err := os.Rename(aside, mended); err != nil {
		return fmt.Errorf("take the damaged store away: %w", err)
	}
	if err := errors.Join(durable.SyncDir(opt.Dir), os.RemoveAll(mended)); err != nil {
		return fmt.Errorf("remove the damaged store: %w", err)
	}
	return nil
}
