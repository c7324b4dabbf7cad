// Package mirror keeps a copy of the archive's files in a store elsewhere, such
// as HDFS, for those who read it there.
//
// It owns what is copied when, the proof that a copy is whole, and how two
// appliances share one place. The archive on local disk stays the one that
// training and starting read: it is complete without the store, so a store that
// is down for a day costs nothing but that day's copies, which follow when it is
// back. A copy follows the archive in everything: what is compacted, dropped by
// retention or rewritten without an erased user is so there, too.
//
//	m, err := mirror.New(mirror.Options{Archive: a, Store: store, Dir: archiveDir})
//	go m.Run(ctx)
//
// It must not import a foreign library, nor anything of this module but
// bridge/archive and internal/logkey; stores are in bridge/hdfs and
// bridge/webhdfs.
//
// Layout under the store's root, where ID is that of the archive:
//
//	events/dt=YYYY-MM-DD/NAME-ID.parquet   as in the archive; also items, users, served
//	_staging/ID/                           not yet verified
//	_commits/ID.json                       how far the copy is; see marker
package mirror

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"vitrine/bridge/archive"
	"vitrine/internal/logkey"
)

// Source is the archive that is copied.
type Source interface {
	// Files gives what the copy shall have; see archive.Listing.
	Files(ctx context.Context) (archive.Listing, error)
	// Position is that of a listing that was made now.
	Position() uint64
	// OpenFile opens one of them; the error of one that is gone is
	// fs.ErrNotExist.
	OpenFile(path string) (*os.File, error)
}

// Options say what is copied where.
type Options struct {
	Archive Source
	Store   Store
	// Name is the store's address in messages, without secrets.
	Name string
	// ID keeps the files of several archives in one place apart; see ID.
	ID string
	// Log defaults to discarding.
	Log *slog.Logger
	// Now defaults to time.Now.
	Now func() time.Time
}

// The pace of Run.
const (
	// pollEvery is how soon a commit of the archive is noticed.
	pollEvery = time.Second
	// lookEvery is how soon files that were written anew are, which moves no
	// position.
	lookEvery = 15 * time.Second
	// recheckEvery is how often the store is asked what it has: somebody may
	// have removed files there.
	recheckEvery = 15 * time.Minute
	// retryLeast and retryMost are the waits after an error, so that a store
	// that is back is noticed within seconds.
	retryLeast, retryMost = 500 * time.Millisecond, time.Second
	// remindEvery is how often the log repeats an error that stays.
	remindEvery = 5 * time.Minute
)

// Mirror copies one archive to one store. Its methods may be called from
// several goroutines.
type Mirror struct {
	opt Options

	// turn is held while files are copied.
	turn sync.Mutex
	// there has what the store holds of this archive, by the archive's path;
	// nil when that has to be asked.
	there   map[string]int64
	asked   time.Time
	written marker

	mu    sync.Mutex
	stats Stats
}

// Stats is what a status page shows.
type Stats struct {
	// Position is the bus sequence up to which everything is in the copy.
	Position uint64
	// Files and Bytes are the copy's; Waiting and WaitingBytes are those that
	// are not there yet, as of the last look.
	Files, Waiting      int
	Bytes, WaitingBytes int64
	// Copied and Removed count files since the start of the process, Failures
	// the turns that ended with an error.
	Copied, Removed, Failures int64
	// LastCopy is when the copy was last complete.
	LastCopy time.Time
	// LastError is what is wrong now, Hint what may help, and Since since when;
	// empty while all is well.
	LastError, Hint string
	Since           time.Time
}

// New prepares a mirror; Run or Flush start its work.
func New(opt Options) *Mirror {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	return &Mirror{opt: opt}
}

// BehindError says that the archive lacks what the copy has: copying would
// remove it there.
type BehindError struct {
	Name           string
	Copy, Position uint64
}

// Error names both positions.
func (e *BehindError) Error() string {
	return fmt.Sprintf("the copy at %s goes up to bus sequence %d and the archive here to %d only: the archive was emptied, is an older one, or two appliances run on copies of one data folder; nothing is changed there",
		e.Name, e.Copy, e.Position)
}

// Run copies until ctx ends, and returns ctx.Err(). Errors are logged, shown by
// Stats, and tried again.
func (m *Mirror) Run(ctx context.Context) error {
	wait, logged, last := retryLeast, time.Time{}, ""
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		now := m.opt.Now()
		if !m.due(now) {
			timer.Reset(pollEvery)
			continue
		}
		err := m.Flush(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			if last != "" {
				m.opt.Log.Info("the copy of the archive is complete again", logkey.Address, m.opt.Name)
			}
			wait, last = retryLeast, ""
			timer.Reset(pollEvery)
		default:
			if last == "" || now.Sub(logged) >= remindEvery {
				m.opt.Log.Error("the archive cannot be copied; it waits on local disk; trying again",
					logkey.Address, m.opt.Name, logkey.Error, err, logkey.Hint, hint(err))
				logged = now
			}
			last = err.Error()
			timer.Reset(wait)
			wait = min(2*wait, retryMost)
		}
	}
}

// due says whether there may be something to do.
func (m *Mirror) due(now time.Time) bool {
	s := m.Stats()
	return s.LastError != "" || s.Position != m.opt.Archive.Position() || now.Sub(s.LastCopy) >= lookEvery
}

// hint says what may help.
func hint(err error) string {
	var behind *BehindError
	var advice *AdviceError
	switch {
	case errors.As(err, &advice):
		return advice.Advice
	case errors.As(err, &behind):
		return "bring the archive's folder back from the copy or a backup, or give this appliance another archive.url"
	case errors.Is(err, fs.ErrPermission):
		return "give the user of archive.user the right to write below archive.url"
	case errors.Is(err, context.DeadlineExceeded):
		return "the other side accepts and does not answer: look at its log; archive.timeout is how long is waited"
	}
	for said, advice := range map[string]string{
		"SafeModeException":        "the NameNode is in safe mode until its DataNodes have reported, or somebody ends it: hdfs dfsadmin -safemode get",
		"QuotaExceededException":   "make room below archive.url, or raise the quota: hdfs dfs -count -q -h shows it",
		"could only be written to": "the DataNodes have no room, or too few of them run: hdfs dfsadmin -report",
		"no available datanodes":   "the DataNodes that have the file do not run, or have lost it: hdfs fsck with the path and -files -blocks -locations; where it is lost for good, remove it by hdfs dfs -rm, and the copy goes on",
	} {
		if strings.Contains(err.Error(), said) {
			return advice
		}
	}
	return "look at archive.url (hdfs:// goes to the NameNode's RPC port, such as 8020 or 9000, webhdfs:// to its HTTP port, such as 9870) and at whether its servers run: hdfs dfsadmin -report"
}

// Flush brings the copy to where the archive was when it was called.
func (m *Mirror) Flush(ctx context.Context) error {
	m.turn.Lock()
	defer m.turn.Unlock()
	err := m.copyAll(ctx)
	if err == nil {
		return nil
	}
	// What of it is done there is open: ask the next time.
	m.there = nil
	m.mu.Lock()
	defer m.mu.Unlock()
	if ctx.Err() == nil {
		m.stats.Failures++
		if m.stats.LastError == "" {
			m.stats.Since = m.opt.Now()
		}
		m.stats.LastError, m.stats.Hint = err.Error(), hint(err)
	}
	return err
}

// Stats tells how the copy is doing.
func (m *Mirror) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stats
}

// Name is the store's address.
func (m *Mirror) Name() string { return m.opt.Name }

// Close lets go of the store, when nothing is copied any more.
func (m *Mirror) Close() error { return m.opt.Store.Close() }

// suffix ends the names of this archive's files in the store.
func (m *Mirror) suffix() string { return "-" + m.opt.ID + fileSuffix }

const fileSuffix = ".parquet"

// remote is where a file of the archive lies in the store.
func (m *Mirror) remote(local string) string {
	return strings.TrimSuffix(local, fileSuffix) + m.suffix()
}

// local is the reverse of remote; ok is false for files of others.
func (m *Mirror) local(remote string) (local string, ok bool) {
	stem, ok := strings.CutSuffix(remote, m.suffix())
	return stem + fileSuffix, ok
}

func (m *Mirror) staging() string { return path.Join("_staging", m.opt.ID) }

// stagedName is a new one for each try, so that nothing of one that was cut off,
// which a store may still act on, can meet the next.
func (m *Mirror) stagedName() string { return path.Join(m.staging(), rand.Text()) }
