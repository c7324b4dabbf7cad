package hdfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/colinmarc/hdfs/v2"

	"vitrine/bridge/mirror"
	"vitrine/internal/disk"
)

// idleAfter is how long clients that nobody uses stay connected: the library
// asks the NameNode once a second for each.
const idleAfter = 10 * time.Second

// session is one client and its connections, in one caller's hands at a time.
type session struct {
	client   *hdfs.Client
	defaults hdfs.ServerDefaults
	timeout  time.Duration

	mu      sync.Mutex
	aborted bool
	conns   map[*conn]struct{}
	// silence is the first time that the other side did not answer, or what it
	// asks for that the library cannot do.
	silence error

	// tickets is nil without Kerberos. ticket is in use while the session is; refused
	// says that a NameNode would not have it.
	tickets *tickets
	ticket  *ticket
	refused bool
}

// take gives a client that is connected.
func (s *Store) take(ctx context.Context) (*session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	if n := len(s.free); n > 0 {
		ses := s.free[n-1]
		s.free = s.free[:n-1]
		s.mu.Unlock()
		return ses, nil
	}
	first := s.first
	s.mu.Unlock()
	ses, err := s.connect(ctx, first)
	if err != nil {
		s.askAnother(first)
	}
	return ses, err
}

// askAnother lets the next client ask another NameNode first: one that accepts
// and stays silent is not passed over by the library.
func (s *Store) askAnother(first int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == first {
		s.first = (first + 1) % len(s.opt.NameNodes)
	}
}

// give takes a client back; after an error it is not used again.
func (s *Store) give(ses *session, err error) {
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		ses.close()
		var silent *mirror.SilentError
		if errors.As(err, &silent) {
			s.mu.Lock()
			first := s.first
			s.mu.Unlock()
			s.askAnother(first)
		}
		return
	}
	ses.forgive()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = append(s.free, ses)
	if s.idle == nil {
		s.idle = time.AfterFunc(idleAfter, s.drop)
	} else {
		s.idle.Reset(idleAfter)
	}
}

// drop closes the clients that nobody uses.
func (s *Store) drop() {
	s.mu.Lock()
	free := s.free
	s.free = nil
	s.mu.Unlock()
	for _, ses := range free {
		ses.close()
	}
}

// Close implements mirror.Store.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.idle != nil {
		s.idle.Stop()
	}
	s.mu.Unlock()
	s.drop()
	if s.tickets != nil {
		s.tickets.close()
	}
	return nil
}

// connect makes a client and asks for the cluster's defaults, which also proves
// that the NameNode answers.
func (s *Store) connect(ctx context.Context, first int) (*session, error) {
	ses := &session{timeout: s.opt.Timeout, conns: map[*conn]struct{}{}, tickets: s.tickets}
	release := context.AfterFunc(ctx, ses.abort)
	defer release()
	nodes := s.opt.NameNodes
	opt := hdfs.ClientOptions{
		Addresses: append(append([]string{}, nodes[first:]...), nodes[:first]...),
		User:      s.opt.User, UseDatanodeHostname: s.opt.Hostnames, DataTransferProtection: s.opt.Protection,
		NamenodeDialFunc: ses.dialer(false), DatanodeDialFunc: ses.dialer(true),
	}
	if k := s.opt.Kerberos; k != nil {
		got, err := s.tickets.take(ctx, k.service(nodes[first]))
		if err != nil {
			return nil, err
		}
		ses.ticket = got
		opt.KerberosClient, opt.KerberosServicePrincipleName = got.client, k.Service
	}
	client, err := hdfs.NewClient(opt)
	if err == nil {
		ses.client = client
		ses.defaults, err = client.ServerDefaults()
	}
	if err != nil {
		ses.refused = strings.Contains(err.Error(), "SASL handshake")
		err = s.opt.Kerberos.handshake(ses.cause(ctx, err))
		ses.close()
		return nil, err
	}
	return ses, nil
}

// dialer makes connections with deadlines that end with the session.
func (ses *session) dialer(swallow bool) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		d := net.Dialer{Timeout: ses.timeout}
		inner, err := d.DialContext(ctx, network, addr)
		if err != nil {
			ses.note(addr, err)
			return nil, err
		}
		c := &conn{Conn: inner, ses: ses, addr: addr, swallow: swallow}
		if swallow {
			c.greeting = &greeting{}
		}
		ses.mu.Lock()
		defer ses.mu.Unlock()
		if ses.aborted {
			return nil, errors.Join(net.ErrClosed, inner.Close())
		}
		ses.conns[c] = struct{}{}
		return c, nil
	}
}

// abort makes every call on the client fail soon.
func (ses *session) abort() {
	ses.mu.Lock()
	ses.aborted = true
	conns := ses.conns
	ses.conns = map[*conn]struct{}{}
	ses.mu.Unlock()
	for c := range conns {
		_ = c.Conn.Close() // nothing is written behind it
	}
}

// close ends the client with all its connections, also those that the library
// lost on its way to an error.
func (ses *session) close() {
	ses.abort()
	if ses.client != nil {
		_ = ses.client.Close() // the connection is closed already
	}
	if ses.ticket != nil {
		ses.tickets.give(ses.ticket, !ses.refused)
		ses.ticket = nil
	}
}

// note keeps the first silence.
func (ses *session) note(addr string, err error) {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			return
		}
	}
	ses.blame(&mirror.SilentError{Address: addr, For: ses.timeout})
}

// blame keeps what a later error comes from.
func (ses *session) blame(err error) {
	ses.mu.Lock()
	defer ses.mu.Unlock()
	if ses.silence == nil && !ses.aborted {
		ses.silence = err
	}
}

// forgive forgets what went wrong and was got past, such as a DataNode that
// another one stood in for: it is not why a later call fails.
func (ses *session) forgive() {
	ses.mu.Lock()
	defer ses.mu.Unlock()
	ses.silence = nil
}

// cause is what an error of the library comes from: it keeps texts only.
func (ses *session) cause(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	ses.mu.Lock()
	defer ses.mu.Unlock()
	if ses.silence != nil && !errors.Is(err, fs.ErrNotExist) {
		return ses.silence
	}
	return err
}

// copy writes all of src; it stops as soon as a DataNode is gone, which Write
// does not always tell.
func (ses *session) copy(w io.Writer, src io.Reader) (int64, error) {
	buf := make([]byte, 256<<10)
	var total int64
	for {
		n, readErr := src.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return total, err
			}
			total += int64(n)
			if err := ses.lost(); err != nil {
				return total, err
			}
		}
		if errors.Is(readErr, io.EOF) {
			return total, nil
		}
		if readErr != nil {
			return total, readErr
		}
	}
}

// lost is the error of a connection to a DataNode that broke.
func (ses *session) lost() error {
	ses.mu.Lock()
	defer ses.mu.Unlock()
	for c := range ses.conns {
		if c.failed != nil {
			return c.failed
		}
	}
	return nil
}

// conn has a deadline on each read and write.
type conn struct {
	net.Conn
	ses  *session
	addr string
	// swallow lets writes to a broken connection succeed into nothing. The
	// library's block writer ends its goroutines only when its last packet could
	// be sent; that it was not received is what it then reads.
	swallow bool
	// failed is why writes are swallowed; ses.mu guards it.
	failed error
	// greeting is what a DataNode has said so far, nil when that is over.
	greeting *greeting
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	if err := c.Conn.SetReadDeadline(time.Now().Add(c.ses.timeout)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(b)
	if err != nil && n == 0 {
		c.ses.note(c.addr, err)
	}
	if c.greeting != nil {
		return c.greet(b[:n], err)
	}
	return n, err
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	err := c.Conn.SetWriteDeadline(time.Now().Add(c.ses.timeout))
	n := 0
	if err == nil {
		n, err = c.Conn.Write(b)
	}
	if err == nil {
		return n, nil
	}
	c.ses.note(c.addr, err)
	if !c.swallow {
		return n, err
	}
	c.ses.mu.Lock()
	if c.failed == nil {
		c.failed = err
	}
	c.ses.mu.Unlock()
	_ = c.Conn.Close() // so that reads fail at once
	return len(b), nil
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.ses.mu.Lock()
	delete(c.ses.conns, c)
	c.ses.mu.Unlock()
	return c.Conn.Close()
}

// SetDeadline does nothing: the library clears deadlines that it knows nothing
// of.
func (*conn) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing; see SetDeadline.
func (*conn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing; see SetDeadline.
func (*conn) SetWriteDeadline(time.Time) error { return nil }

// explain says what was done to which file, and what Hadoop says of it: the
// library's own text has the exception's name only.
func explain(op, at string, err error) error {
	if err == nil {
		return nil
	}
	var remote hdfs.Error
	if errors.As(err, &remote) && remote.Message() != "" {
		line, _, _ := strings.Cut(remote.Message(), "\n")
		class := remote.Exception()
		return fmt.Errorf("%s hdfs:%s: %s: %w", op, at, class[strings.LastIndexByte(class, '.')+1:], &remoteError{text: line, err: err})
	}
	if strings.Contains(err.Error(), "negotiating data protection") {
		err = &mirror.AdviceError{Err: err, Advice: adviceProtection}
	}
	return fmt.Errorf("%s hdfs:%s: %w", op, at, disk.WithoutPath(err))
}

// remoteError is the first line of a Java exception.
type remoteError struct {
	text string
	err  error
}

// Error is what Hadoop said.
func (e *remoteError) Error() string { return e.text }

// Unwrap gives the library's error.
func (e *remoteError) Unwrap() error { return e.err }
