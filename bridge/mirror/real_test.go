package mirror_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"vitrine/bridge/hdfs"
	"vitrine/bridge/mirror"
	"vitrine/bridge/mirror/storetest"
	"vitrine/bridge/webhdfs"
	"vitrine/internal/realservers"
)

// running names a cluster that runs already, NameNode's RPC and HTTP addresses
// with a comma: its conformance is tested then. Without it one is started.
const running = "VITRINE_HDFS"

// TestRealConformance holds both ways to a real HDFS against what a store
// promises.
func TestRealConformance(t *testing.T) {
	addresses := os.Getenv(running)
	if addresses == "" {
		realservers.Require(t)
		c := realservers.During(t, realservers.HDFS{Dir: t.TempDir()}.Start)
		addresses = c.Address + "," + c.WebAddress
	}
	rpc, web, _ := strings.Cut(addresses, ",")
	root := "/user/conformance-" + time.Now().UTC().Format("20060102T150405")
	t.Run("hdfs", func(t *testing.T) {
		conforms(t, hdfs.New(hdfs.Options{NameNodes: []string{rpc}, Root: root + "/hdfs", User: "shop", Timeout: storetest.Patience}))
		t.Run("archive", func(t *testing.T) {
			followsTheArchive(t, hdfs.New(hdfs.Options{NameNodes: []string{rpc}, Root: root + "/hdfs-archive", User: "shop", Timeout: storetest.Patience}))
		})
		inTurn(t, rpc, func(nodes []string) mirror.Store {
			return hdfs.New(hdfs.Options{NameNodes: nodes, Root: root + "/turn", User: "shop", Timeout: turnTimeout})
		})
	})
	t.Run("webhdfs", func(t *testing.T) {
		conforms(t, webhdfs.New(webhdfs.Options{NameNodes: []string{web}, Root: root + "/webhdfs", User: "shop", Timeout: storetest.Patience}))
		t.Run("archive", func(t *testing.T) {
			followsTheArchive(t, webhdfs.New(webhdfs.Options{NameNodes: []string{web}, Root: root + "/webhdfs-archive", User: "shop", Timeout: storetest.Patience}))
		})
		inTurn(t, web, func(nodes []string) mirror.Store {
			return webhdfs.New(webhdfs.Options{NameNodes: nodes, Root: root + "/turn", User: "shop", Timeout: turnTimeout})
		})
	})
}

// turnTimeout is what the silence of a first NameNode costs; the second one may be
// a busy machine's and take a part of it.
const turnTimeout = 10 * time.Second

// inTurn wants a store to get past a first NameNode that does not answer: one
// call may fail, the next ones do not.
func inTurn(t *testing.T, target string, open func(nodes []string) mirror.Store) {
	first, err := realservers.NewProxy(target)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	for _, fault := range []realservers.Fault{realservers.Silent, realservers.Refused} {
		if err := first.Set(fault); err != nil {
			t.Fatal(err)
		}
		s := open([]string{first.Address, target})
		if _, err := s.List(t.Context(), ""); err != nil {
			t.Logf("%s: the first call: %v", fault, err)
		}
		for range 3 {
			storetest.Put(t, s, "turn", []byte("x"))
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// conforms holds a store against what one promises.
func conforms(t *testing.T, s mirror.Store) {
	storetest.Run(t, s)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestRealDataNodeKilled kills a DataNode in the middle of a file of many
// blocks, by both ways: the file comes whole, and no goroutine stays.
func TestRealDataNodeKilled(t *testing.T) {
	realservers.Require(t)
	c := realservers.During(t, realservers.HDFS{Dir: t.TempDir(), BlockSize: 4 << 20}.Start)
	f := &folder{dir: t.TempDir(), position: 1}
	want := storetest.Bytes(128 << 20)
	f.put(t, "events/dt=2026-11-25/a.parquet", string(want))
	for name, store := range map[string]mirror.Store{
		"hdfs":    hdfs.New(hdfs.Options{NameNodes: []string{c.Address}, Root: "/killed/hdfs", User: "shop"}),
		"webhdfs": webhdfs.New(webhdfs.Options{NameNodes: []string{c.WebAddress}, Root: "/killed/webhdfs", User: "shop"}),
	} {
		for i, victim := range c.DataNodes {
			before := runtime.NumGoroutine()
			m := mirror.New(mirror.Options{Archive: f, Store: store, ID: fmt.Sprintf("%012d", i)})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- m.Run(ctx) }()
			time.Sleep(500 * time.Millisecond)
			if m.Stats().Copied > 0 {
				t.Log("the file was copied before the kill")
			}
			begin := time.Now()
			if err := victim.Kill(); err != nil {
				t.Fatal(err)
			}
			for m.Stats().Position != 1 {
				if time.Since(begin) > 2*time.Minute {
					t.Fatalf("%s: not copied: %+v", name, m.Stats())
				}
				time.Sleep(20 * time.Millisecond)
			}
			t.Logf("%s, datanode %d of 3 killed in mid-write: whole after %.1f s and %d failures", name, i+1, time.Since(begin).Seconds(), m.Stats().Failures)
			cancel()
			<-done
			if got := readSoon(t, store, fmt.Sprintf("events/dt=2026-11-25/a-%012d.parquet", i)); !bytes.Equal(got, want) {
				t.Errorf("%s: the copy differs", name)
			}
			if err := store.Close(); err != nil {
				t.Error(err)
			}
			for begin := time.Now(); runtime.NumGoroutine() > before; time.Sleep(50 * time.Millisecond) {
				if time.Since(begin) > 10*time.Second {
					buf := make([]byte, 1<<20)
					t.Fatalf("%s: %d goroutines, %d before:\n%s", name, runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
				}
			}
			if err := victim.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := c.Await(t.Context(), len(c.DataNodes)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// readSoon reads a file while the NameNode may still send readers to a DataNode
// that is dead.
func readSoon(t *testing.T, store mirror.Store, path string) []byte {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		r, err := store.Open(t.Context(), path)
		if err == nil {
			var data []byte
			data, err = io.ReadAll(r)
			if err = errors.Join(err, r.Close()); err == nil {
				return data
			}
		}
		if time.Since(begin) > time.Minute {
			t.Fatalf("read %s: %v", path, err)
		}
	}
}
