// Package webhdfs is a mirror.Store on HDFS over HTTP: WebHDFS of NameNode and
// DataNodes, or an HttpFS gateway before them.
//
// It owns the requests of that API, the two steps of reading and writing, and
// deadlines on each read and write. A DataNode writes the further copies itself,
// so the loss of another one does not fail a file. It must not import anything
// of this module but bridge/mirror.
//
// Source: https://hadoop.apache.org/docs/stable/hadoop-project-dist/hadoop-hdfs/WebHDFS.html
package webhdfs

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"vitrine/bridge/mirror"
)

// DefaultTimeout is how long the other side may be silent.
const DefaultTimeout = 4 * time.Second

// Options say which cluster. Zero fields are the defaults.
type Options struct {
	// NameNodes are host:port of the HTTP service, or of gateways; of several,
	// the active one is found.
	NameNodes []string
	// TLS speaks HTTPS, with servers that an authority of Authorities vouches for,
	// of the system's where it is nil.
	TLS         bool
	Authorities *x509.CertPool
	// Root is the folder that all paths lie below.
	Root string
	// User is the one that files belong to, without Kerberos.
	User string
	// Timeout bounds the silence of the other side, DefaultTimeout when 0. A
	// request that makes progress may take longer.
	Timeout time.Duration
	// Replication is the number of copies, 0 the cluster's own.
	Replication int
	// Authorizer, when set, proves who we are.
	Authorizer Authorizer
}

// Authorizer proves who the client is.
type Authorizer interface {
	// Authorize adds the proof to a request.
	Authorize(req *http.Request) error
	// Refused is called when a server would not have it.
	Refused()
	// Close is called when no more requests come.
	Close()
}

// Store is a folder of HDFS.
type Store struct {
	opt    Options
	client *http.Client
	// first is the NameNode that is asked first.
	first atomic.Int64
}

var _ mirror.Store = (*Store)(nil)

// New prepares a store; nothing is connected before it is used.
func New(opt Options) *Store {
	if opt.Timeout == 0 {
		opt.Timeout = DefaultTimeout
	}
	return &Store{opt: opt, client: &http.Client{
		Transport: transport(opt.Timeout, opt.Authorities),
		// Where a file's bytes go is followed by hand: they are sent there only.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close implements mirror.Store.
func (s *Store) Close() error {
	s.client.CloseIdleConnections()
	if s.opt.Authorizer != nil {
		s.opt.Authorizer.Close()
	}
	return nil
}

func (s *Store) at(p string) string { return path.Join("/", s.opt.Root, p) }

// params are the parameters of an operation, in pairs.
func params(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

// Write implements mirror.Writer.
func (s *Store) Write(ctx context.Context, p string, src io.Reader) error {
	query := params("op", "CREATE", "overwrite", "true")
	if s.opt.Replication > 0 {
		query.Set("replication", strconv.Itoa(s.opt.Replication))
	}
	return s.explain(ctx, "write", p, func() error {
		where, err := s.locate(ctx, http.MethodPut, s.at(p), query)
		if err != nil {
			return err
		}
		body := &source{Reader: src}
		resp, err := s.send(ctx, http.MethodPut, where, body)
		if failed := body.failed(); failed != nil {
			err = failed
		}
		if err != nil {
			return err
		}
		return drain(resp)
	})
}

// locate asks the NameNode where the bytes of a file go to.
func (s *Store) locate(ctx context.Context, method, at string, query url.Values) (string, error) {
	resp, err := s.ask(ctx, method, at, query)
	if err != nil {
		return "", err
	}
	return place(resp)
}

// place is where an answer says that the bytes of a file are.
func place(resp *http.Response) (string, error) {
	where := resp.Header.Get("Location")
	if err := drain(resp); err != nil {
		return "", err
	}
	if where == "" {
		return "", fmt.Errorf("%s answered %s without saying where the data goes: is it a WebHDFS address?", resp.Request.URL.Host, resp.Status)
	}
	return where, nil
}

// Open implements mirror.Reader.
func (s *Store) Open(ctx context.Context, p string) (io.ReadCloser, error) {
	var resp *http.Response
	err := s.explain(ctx, "read", p, func() error {
		var err error
		resp, err = s.ask(ctx, http.MethodGet, s.at(p), params("op", "OPEN"))
		// A NameNode says where the bytes are; a gateway sends them at once.
		if err != nil || resp.StatusCode == http.StatusOK && resp.Header.Get("Content-Type") == octets {
			return err
		}
		where, err := place(resp)
		if err != nil {
			return err
		}
		resp, err = s.send(ctx, http.MethodGet, where, nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &content{ReadCloser: resp.Body, store: s, host: resp.Request.URL.Host}, nil
}

// List implements mirror.Reader.
func (s *Store) List(ctx context.Context, dir string) ([]mirror.Entry, error) {
	var answer struct {
		FileStatuses struct {
			FileStatus []struct {
				PathSuffix string `json:"pathSuffix"`
				Length     int64  `json:"length"`
				Type       string `json:"type"`
			}
		}
	}
	err := s.explain(ctx, "list", dir, func() error {
		return s.call(ctx, http.MethodGet, s.at(dir), params("op", "LISTSTATUS"), &answer)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := make([]mirror.Entry, 0, len(answer.FileStatuses.FileStatus))
	for _, f := range answer.FileStatuses.FileStatus {
		out = append(out, mirror.Entry{Name: f.PathSuffix, Bytes: f.Length, Dir: f.Type == "DIRECTORY"})
	}
	slices.SortFunc(out, func(a, b mirror.Entry) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// Rename implements mirror.Editor. By a gateway it is more than one step where a
// file is in its place.
func (s *Store) Rename(ctx context.Context, from, to string) error {
	return s.explain(ctx, "rename", from, func() error {
		done, err := s.rename(ctx, from, to)
		if err == nil && done || err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		// The file, or the folder of its new place?
		if err := s.call(ctx, http.MethodGet, s.at(from), params("op", "GETFILESTATUS"), nil); err != nil {
			return err
		}
		if err := s.call(ctx, http.MethodPut, path.Dir(s.at(to)), params("op", "MKDIRS"), nil); err != nil {
			return err
		}
		if done, err = s.rename(ctx, from, to); err != nil || done {
			return err
		}
		if err := s.call(ctx, http.MethodDelete, s.at(to), params("op", "DELETE"), nil); err != nil {
			return err
		}
		if done, err = s.rename(ctx, from, to); err == nil && !done {
			err = fmt.Errorf("the server does not rename it to %s and does not say why", s.at(to))
		}
		return err
	})
}

// rename asks for it to be done in one step, in place of a file that is there. A
// NameNode does it and sends no body, or says why not. HttpFS does it only where
// the folder is there and the file is not, and sends whether it did.
func (s *Store) rename(ctx context.Context, from, to string) (done bool, err error) {
	resp, err := s.ask(ctx, http.MethodPut, s.at(from), params("op", "RENAME", "destination", s.at(to), "renameoptions", "OVERWRITE"))
	if err != nil {
		return false, err
	}
	var answer struct{ Boolean *bool }
	err = json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&answer)
	if errors.Is(err, io.EOF) {
		return true, resp.Body.Close()
	}
	return answer.Boolean != nil && *answer.Boolean, errors.Join(err, resp.Body.Close())
}

// Remove implements mirror.Editor.
func (s *Store) Remove(ctx context.Context, p string) error {
	err := s.explain(ctx, "remove", p, func() error {
		return s.call(ctx, http.MethodDelete, s.at(p), params("op", "DELETE"), nil)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// maxAnswer bounds an answer of the NameNode: a folder of 100,000 files.
const maxAnswer = 64 << 20

// call asks the NameNode and reads its answer, where there is something to read.
func (s *Store) call(ctx context.Context, method, at string, query url.Values, answer any) error {
	resp, err := s.ask(ctx, method, at, query)
	if err != nil {
		return err
	}
	if answer == nil {
		return drain(resp)
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(answer)
	return errors.Join(err, resp.Body.Close())
}

// ask sends a request to the NameNodes in turn, the one that answered last
// first, until one answers that is not in standby.
func (s *Store) ask(ctx context.Context, method, at string, query url.Values) (*http.Response, error) {
	scheme := "http"
	if s.opt.TLS {
		scheme = "https"
	}
	if s.opt.User != "" {
		query.Set("user.name", s.opt.User)
	}
	first, n := int(s.first.Load()), len(s.opt.NameNodes)
	var errs []error
	for i := range n {
		node := (first + i) % n
		u := url.URL{Scheme: scheme, Host: s.opt.NameNodes[node], Path: "/webhdfs/v1" + at, RawQuery: query.Encode()}
		resp, err := s.send(ctx, method, u.String(), nil)
		var remote *RemoteError
		if err == nil || ctx.Err() != nil || errors.As(err, &remote) && !remote.elsewhere() {
			s.first.Store(int64(node))
			return resp, err
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// octets is the type of a file's bytes.
const octets = "application/octet-stream"

// send sends a request and returns an answer that is no error.
func (s *Store) send(ctx context.Context, method, where string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, where, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", octets) // a gateway takes no other
	}
	if s.opt.Authorizer != nil {
		if err := s.opt.Authorizer.Authorize(req); err != nil {
			return nil, err
		}
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, s.silence(req.URL.Host, err)
	}
	if resp.StatusCode < http.StatusBadRequest {
		return resp, nil
	}
	if resp.StatusCode == http.StatusUnauthorized {
		return nil, errors.Join(s.unauthorized(resp), resp.Body.Close())
	}
	return nil, errors.Join(remoteError(resp), resp.Body.Close())
}

// drain reads an answer to its end, so that its connection can be used again.
func drain(resp *http.Response) error {
	const most = 1 << 20
	_, err := io.Copy(io.Discard, io.LimitReader(resp.Body, most))
	return errors.Join(err, resp.Body.Close())
}

// explain says what was done to which file.
func (s *Store) explain(ctx context.Context, op, p string, do func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := do()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("%s webhdfs:%s: %w", op, s.at(p), err)
}
