// Package hdfs is a mirror.Store on HDFS, spoken to as Hadoop's own programs do:
// the NameNode's RPC and the DataNodes' transfer protocol.
//
// It owns everything that colinmarc/hdfs leaves to its user: deadlines on every
// read and write, a client of its own for every call and a new one after every
// error, NameNodes in turn, and no goroutine or connection left behind by a call
// that failed. It is the door of that library and of gokrb5, and must not import
// anything else of this module but bridge/mirror, internal/disk and internal/pause.
//
//	s := hdfs.New(hdfs.Options{NameNodes: []string{"nn1:9000", "nn2:9000"}, Root: "/user/shop"})
//
// What the library cannot do: it has no pipeline recovery, so a DataNode that
// dies during a write fails that file, which is written anew; no erasure coding
// and no encryption zones; of DataNodes with SASL it understands those that only
// authenticate and those that encrypt by AES. Package webhdfs has none of these
// limits.
package hdfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sync"
	"time"

	"github.com/colinmarc/hdfs/v2"

	"vitrine/bridge/mirror"
	"vitrine/internal/pause"
)

// DefaultTimeout is how long the other side may be silent.
const DefaultTimeout = 4 * time.Second

// Options say which cluster. Zero fields are the defaults.
type Options struct {
	// NameNodes are host:port of the RPC service; of several, the active one is
	// found.
	NameNodes []string
	// Root is the folder that all paths lie below.
	Root string
	// User is the one that files belong to, without Kerberos.
	User string
	// Timeout bounds the silence of the other side, DefaultTimeout when 0. A
	// call that makes progress may take longer.
	Timeout time.Duration
	// Replication is the number of copies, 0 the cluster's own.
	Replication int
	// Hostnames reaches DataNodes by name, not by the address that the NameNode
	// knows.
	Hostnames bool
	// Kerberos is nil for a cluster without it.
	Kerberos *Kerberos
	// Protection is that of data on the way: "", authentication, integrity or
	// privacy, as dfs.data.transfer.protection has it.
	Protection string
}

// Store is a folder of HDFS.
type Store struct {
	opt Options

	mu sync.Mutex
	// free are clients that are in nobody's hands.
	free []*session
	// first is the NameNode that is asked first.
	first int
	idle  *time.Timer

	// tickets is nil without Kerberos.
	tickets *tickets
}

var _ mirror.Store = (*Store)(nil)

// New prepares a store; nothing is connected before it is used.
func New(opt Options) *Store {
	if opt.Timeout == 0 {
		opt.Timeout = DefaultTimeout
	}
	s := &Store{opt: opt}
	if opt.Kerberos != nil {
		s.tickets = newTickets(opt.Kerberos, opt.Timeout)
	}
	return s
}

func (s *Store) at(p string) string { return path.Join("/", s.opt.Root, p) }

// Write implements mirror.Writer.
func (s *Store) Write(ctx context.Context, p string, src io.Reader) error {
	return s.do(ctx, "write", p, func(ses *session) error {
		w, err := s.create(ses, s.at(p))
		if err != nil {
			return err
		}
		n, err := ses.copy(w, src)
		if err != nil {
			_ = w.Close() // it ends the writer's goroutines; the file is nobody's
			return err
		}
		if err := s.finish(ctx, w); err != nil {
			return err
		}
		stat, err := ses.client.Stat(s.at(p))
		if err == nil && stat.Size() != n {
			err = fmt.Errorf("the file has %d bytes after %d were written", stat.Size(), n)
		}
		return err
	})
}

// create makes an empty file in place of one that may be there.
func (s *Store) create(ses *session, at string) (*hdfs.FileWriter, error) {
	replication := s.opt.Replication
	if replication == 0 {
		replication = ses.defaults.Replication
	}
	create := func() (*hdfs.FileWriter, error) {
		return ses.client.CreateFile(at, replication, ses.defaults.BlockSize, 0o644)
	}
	w, err := create()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := ses.client.MkdirAll(path.Dir(at), 0o755); err != nil {
			return nil, err
		}
		return create()
	case errors.Is(err, fs.ErrExist):
		if err := ses.client.Remove(at); err != nil {
			return nil, err
		}
		return create()
	}
	return w, err
}

// finish closes a file. The NameNode may not have heard of the last block from
// enough DataNodes yet; then it is asked again, for as long as it may be silent.
// Only that may be asked again: after any other error a second Close says that
// all is well.
func (s *Store) finish(ctx context.Context, w *hdfs.FileWriter) error {
	const replicating = 50 * time.Millisecond
	for begin := time.Now(); ; {
		err := w.Close()
		if !hdfs.IsErrReplicating(err) || time.Since(begin) > s.opt.Timeout {
			return err
		}
		if err := pause.For(ctx, replicating); err != nil {
			return err
		}
	}
}

// List implements mirror.Reader.
func (s *Store) List(ctx context.Context, dir string) ([]mirror.Entry, error) {
	var out []mirror.Entry
	err := s.do(ctx, "list", dir, func(ses *session) error {
		infos, err := ses.client.ReadDir(s.at(dir))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		for _, info := range infos {
			out = append(out, mirror.Entry{Name: info.Name(), Bytes: info.Size(), Dir: info.IsDir()})
		}
		return err
	})
	return out, err
}

// Open implements mirror.Reader.
func (s *Store) Open(ctx context.Context, p string) (io.ReadCloser, error) {
	ses, err := s.take(ctx)
	if err != nil {
		return nil, explain("read", s.at(p), err)
	}
	r := &reader{store: s, ses: ses, ctx: ctx, path: s.at(p), release: context.AfterFunc(ctx, ses.abort)}
	if r.file, err = ses.client.Open(r.path); err != nil {
		return nil, r.end(err)
	}
	return r, nil
}

// reader is an open file; it holds its session until it is closed.
type reader struct {
	store   *Store
	ses     *session
	file    *hdfs.FileReader
	ctx     context.Context
	path    string
	release func() bool
	failed  error
	closed  bool
}

// Read implements io.Reader.
func (r *reader) Read(b []byte) (int, error) {
	n, err := r.file.Read(b)
	if err != nil && err != io.EOF {
		err = r.ses.cause(r.ctx, err)
		r.failed = err
		return n, explain("read", r.path, err)
	}
	return n, err
}

// Close implements io.Closer.
func (r *reader) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	if err := r.file.Close(); err != nil {
		return r.end(err)
	}
	// A failure was told by Read; here it only decides what becomes of the
	// session.
	_ = r.end(r.failed)
	return nil
}

func (r *reader) end(err error) error {
	r.release()
	err = r.ses.cause(r.ctx, err)
	r.store.give(r.ses, err)
	return explain("read", r.path, err)
}

// Rename implements mirror.Editor.
func (s *Store) Rename(ctx context.Context, from, to string) error {
	return s.do(ctx, "rename", from, func(ses *session) error {
		err := ses.client.Rename(s.at(from), s.at(to))
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		// The file, or the folder of its new place?
		if _, err := ses.client.Stat(s.at(from)); err != nil {
			return err
		}
		if err := ses.client.MkdirAll(path.Dir(s.at(to)), 0o755); err != nil {
			return err
		}
		return ses.client.Rename(s.at(from), s.at(to))
	})
}

// Remove implements mirror.Editor.
func (s *Store) Remove(ctx context.Context, p string) error {
	return s.do(ctx, "remove", p, func(ses *session) error {
		if err := ses.client.Remove(s.at(p)); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}

// do calls fn with a client. When ctx ends, the client's connections are closed
// under its hands, so fn returns.
func (s *Store) do(ctx context.Context, op, p string, fn func(ses *session) error) error {
	ses, err := s.take(ctx)
	if err != nil {
		return explain(op, s.at(p), err)
	}
	release := context.AfterFunc(ctx, ses.abort)
	err = fn(ses)
	release()
	err = ses.cause(ctx, err)
	s.give(ses, err)
	return explain(op, s.at(p), err)
}
