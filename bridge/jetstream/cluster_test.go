package jetstream

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"vitrine/bridge"
	"vitrine/bridge/event/frames"
)

// elsewhere is a NATS server that the log is kept on.
type elsewhere struct {
	t    testing.TB
	opt  server.Options
	srv  *server.Server
	port int
}

func serveElsewhere(t testing.TB, opt server.Options) *elsewhere {
	t.Helper()
	opt.Host, opt.NoSigs, opt.NoLog = "127.0.0.1", true, true
	opt.StoreDir, opt.MaxPayload = t.TempDir(), maxPayload
	opt.AuthTimeout, opt.TLSTimeout = 60, 60 // seconds, of which a busy machine takes a part
	e := &elsewhere{t: t, opt: opt, port: server.RANDOM_PORT}
	e.start()
	t.Cleanup(e.stop)
	return e
}

// start starts the server, at a later start on the port that it had: somebody's
// outgoing connection may have that for a while.
func (e *elsewhere) start() {
	e.t.Helper()
	for range 6 {
		opt := e.opt
		opt.Port = e.port
		srv, err := server.NewServer(&opt)
		if err != nil {
			e.t.Fatal(err)
		}
		go srv.Start()
		if srv.ReadyForConnections(10 * time.Second) {
			e.srv, e.port = srv, opt.Port
			return
		}
		srv.Shutdown()
		srv.WaitForShutdown()
	}
	e.t.Fatal("the server does not start")
}

func (e *elsewhere) stop() {
	e.srv.Shutdown()
	e.srv.WaitForShutdown()
}

func (e *elsewhere) url() string { return fmt.Sprintf("nats://127.0.0.1:%d", e.port) }

func openCluster(t testing.TB, e *elsewhere, opt ClusterOptions) *Cluster {
	t.Helper()
	if opt.Aside.Dir == "" {
		opt.Aside.Dir = t.TempDir()
	}
	opt.URLs, opt.Replicas = []string{e.url()}, 1
	c, err := OpenCluster(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// add appends n frames after last, none of which may be refused.
func (c *Cluster) addFrames(t testing.TB, last uint64, n, size int) uint64 {
	t.Helper()
	for range n {
		seq, err := c.Append(t.Context(), frame(last+1, size), last)
		if err != nil || seq != last+1 {
			t.Fatalf("frame %d: %d, %v", last+1, seq, err)
		}
		last = seq
	}
	return last
}

// sidestep has the cluster go away, and the frame after last kept aside.
func (c *Cluster) sidestep(t testing.TB, last uint64) (next uint64) {
	t.Helper()
	c.leave(errors.New("no answer"))
	next, err := c.addAside(t.Context(), frame(last+1, 100), last)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func (c *Cluster) checkFrames(t testing.TB, from, last uint64) {
	t.Helper()
	want := from
	next, err := c.Read(t.Context(), from, func(seq uint64, f []byte) error {
		if seq != want || !bytes.Equal(f, frame(seq, len(f))) {
			return fmt.Errorf("frame %d, want %d", seq, want)
		}
		want++
		return nil
	})
	if err != nil || next != last+1 {
		t.Fatalf("read up to %d, want %d: %v", next, last+1, err)
	}
}

// settled waits until the cluster has all frames.
func (c *Cluster) settled(t testing.TB, last uint64) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if st := c.Stats(t.Context()); st.Away == nil && st.AsideFrames == 0 {
			break
		} else if time.Since(began) > time.Minute {
			t.Fatalf("not after a minute: %+v", st)
		}
	}
	st, err := c.state(t.Context())
	if err != nil || st.LastSeq != last {
		t.Fatalf("the cluster ends with %d, want %d (%v)", st.LastSeq, last, err)
	}
}

func withStore() server.Options { return server.Options{JetStream: true} }

func TestClusterAppendReadTrim(t *testing.T) {
	t.Parallel()
	e := serveElsewhere(t, withStore())
	aside := t.TempDir()
	c := openCluster(t, e, ClusterOptions{After: 41, Aside: Options{Dir: aside}})
	last := c.addFrames(t, 41, 300, 1000)
	c.checkFrames(t, 42, last)
	if _, err := c.Append(t.Context(), frame(1, 10), last-1); !errors.Is(err, bridge.ErrFenced) {
		t.Fatal(err)
	}
	// What the cluster is too slow for, a later call does.
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if err := c.Trim(t.Context(), 100); err != nil {
			t.Fatal(err)
		}
		first, end, err := c.Bounds(t.Context())
		if first == 101 && end == last && err == nil {
			break
		} else if first != 42 || end != last || err != nil || time.Since(began) > time.Minute {
			t.Fatal(first, end, err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = openCluster(t, e, ClusterOptions{After: 50, Aside: Options{Dir: aside}})
	c.checkFrames(t, 101, c.addFrames(t, last, 3, 10))
	c.settled(t, last+3)
	if st := c.Stats(t.Context()); st.Away != nil || st.Frames != last+3-100 || st.First != 101 || st.Last != last+3 {
		t.Fatalf("%+v", st)
	}
}

// While the cluster is away nothing is refused, and when it is back it has all
// frames in their order, also those of an earlier life of the process.
func TestClusterAway(t *testing.T) {
	t.Parallel()
	e := serveElsewhere(t, withStore())
	aside := t.TempDir()
	c := openCluster(t, e, ClusterOptions{Aside: Options{Dir: aside}})
	last := c.addFrames(t, 0, 5, 1000)
	for range 2 {
		c.settled(t, last)
		e.stop()
		last = c.addFrames(t, last, 40, 100_000)
		st := c.Stats(t.Context())
		if st.Away == nil || st.AsideFrames != 40 || st.Last != last {
			t.Fatalf("%+v", st)
		}
		if _, err := c.Append(t.Context(), frame(1, 10), last-1); !errors.Is(err, bridge.ErrFenced) {
			t.Fatal(err)
		}
		e.start()
		c.settled(t, last)
		c.checkFrames(t, 1, last)
		last = c.addFrames(t, last, 5, 1000)
	}
	e.stop()
	last = c.addFrames(t, last, 3, 1000)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	e.start()
	c = openCluster(t, e, ClusterOptions{Aside: Options{Dir: aside}, After: last})
	c.settled(t, last)
	c.checkFrames(t, 1, last)
}

// silence is a way to a server that falls silent when the connection looks for
// one.
type silence struct{ looks, over chan struct{} }

func (s *silence) Dial(network, address string) (net.Conn, error) {
	select {
	case s.looks <- struct{}{}:
	default:
	}
	<-s.over
	return net.Dial(network, address)
}

// While the connection tries a server that is silent, it keeps all to itself who
// ask it anything. No append may be among them, neither the first one, nor those
// that go aside.
func TestClusterSilent(t *testing.T) {
	t.Parallel()
	e := serveElsewhere(t, withStore())
	c := openCluster(t, e, ClusterOptions{})
	s := &silence{looks: make(chan struct{}, 1), over: make(chan struct{})}
	c.writes.Opts.CustomDialer = s
	last := c.addFrames(t, 0, 2, 100)
	e.stop()
	<-s.looks
	for !c.lost.Load() {
		time.Sleep(time.Millisecond)
	}
	var waited atomic.Bool
	end := sync.OnceFunc(func() { close(s.over) })
	limit := time.AfterFunc(10*time.Second, func() { waited.Store(true); end() })
	last = c.addFrames(t, last, 3, 100)
	limit.Stop()
	if waited.Load() {
		t.Error("appends wait for the connection")
	}
	if st := c.Stats(t.Context()); st.AsideFrames != 3 || st.Away == nil {
		t.Errorf("%+v", st)
	}
	e.start()
	end()
	c.settled(t, last)
	c.checkFrames(t, 1, last)
}

// Frames keep coming while the cluster goes and comes; each is there once.
func TestClusterUnderLoad(t *testing.T) {
	t.Parallel()
	e := serveElsewhere(t, withStore())
	c := openCluster(t, e, ClusterOptions{})
	ctx, stop := context.WithCancel(t.Context())
	var last uint64
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			seq, err := c.Append(t.Context(), frame(last+1, 20_000), last)
			if err != nil {
				t.Error(err)
				return
			}
			last = seq
		}
	})
	for range 3 {
		time.Sleep(100 * time.Millisecond)
		e.stop()
		time.Sleep(100 * time.Millisecond)
		e.start()
		time.Sleep(400 * time.Millisecond)
	}
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if c.Stats(t.Context()).Away == nil {
			break
		} else if time.Since(began) > time.Minute {
			t.Fatalf("never in the cluster again: %+v", c.Stats(t.Context()))
		}
	}
	stop()
	wg.Wait()
	c.settled(t, last)
	c.checkFrames(t, 1, last)
	t.Logf("%d frames", last)
}

// A frame whose answer got lost is in the cluster and aside; it counts once.
func TestClusterAnswerLost(t *testing.T) {
	t.Parallel()
	e := serveElsewhere(t, withStore())
	c := openCluster(t, e, ClusterOptions{})
	last := c.addFrames(t, 0, 3, 100)
	if _, err := c.append(t.Context(), frame(last+1, 100), last); err != nil {
		t.Fatal(err)
	}
	last = c.addFrames(t, c.sidestep(t, last), 3, 100)
	c.settled(t, last)
	c.checkFrames(t, 1, last)
}

// A frame that is kept aside at the moment in which the last one before it has been
// brought over is brought over, too: it was left behind, and the next one refused.
func TestClusterAgainAndAgain(t *testing.T) {
	t.Parallel()
	c := openCluster(t, serveElsewhere(t, withStore()), ClusterOptions{})
	last := uint64(0)
	for range 200 {
		last = c.addFrames(t, c.sidestep(t, last), 3, 100)
	}
	c.settled(t, last)
	c.checkFrames(t, 1, last)
}

// Somebody else writes to the stream: nothing goes there any more.
func TestClusterStranger(t *testing.T) {
	t.Parallel()
	e := serveElsewhere(t, withStore())
	c := openCluster(t, e, ClusterOptions{})
	last := c.addFrames(t, 0, 3, 100)
	if _, err := c.append(t.Context(), []byte("another's"), last); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Append(t.Context(), frame(last+1, 100), last); !errors.Is(err, bridge.ErrFenced) {
		t.Fatal(err)
	}
	c.sidestep(t, last)
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		_, err := c.Append(t.Context(), frame(last+2, 100), last+1)
		if errors.Is(err, bridge.ErrFenced) {
			break
		} else if err == nil {
			last++
		}
		if time.Since(began) > time.Minute {
			t.Fatal("frames are taken although the stream is another's: ", err)
		}
	}
	if st := c.Stats(t.Context()); !errors.Is(st.Away, bridge.ErrFenced) {
		t.Fatalf("%+v", st)
	}
}

// Each way in which a cluster cannot be used is named.
func TestClusterFaults(t *testing.T) {
	t.Parallel()
	plain := serveElsewhere(t, server.Options{})
	closed := serveElsewhere(t, server.Options{JetStream: true, Username: "shop", Password: "secret"})
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	nobody := "nats://127.0.0.1:1"
	for _, tc := range []struct {
		name string
		opt  ClusterOptions
		want string
	}{
		// These two might pass, and are waited for.
		{"nobody", ClusterOptions{URLs: []string{nobody, nobody}, Patience: time.Millisecond}, "no server answers at " + nobody},
		{"no store", ClusterOptions{URLs: []string{plain.url()}, Patience: time.Millisecond}, "keep no streams"},
		{"no login", ClusterOptions{URLs: []string{closed.url()}}, "refuse the login"},
		{"login", ClusterOptions{URLs: []string{closed.url()}, Replicas: 1, Security: Security{User: "shop", PasswordFile: password}}, ""},
		{"replicas", ClusterOptions{URLs: []string{closed.url()}, Replicas: 3, Security: Security{User: "shop", PasswordFile: password}}, "cannot keep 3 copies"},
		{"no CA file", ClusterOptions{URLs: []string{plain.url()}, Security: Security{CAFile: "/nowhere"}}, "bus.tls_ca"},
		{"no TLS", ClusterOptions{URLs: []string{plain.url()}, Security: Security{CAFile: caFile(t)}}, "speak no TLS"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.opt.Aside.Dir = t.TempDir()
			c, err := OpenCluster(t.Context(), tc.opt)
			if err == nil {
				_ = c.Close()
			}
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Fatal(err)
			}
			var fault *Fault
			if err != nil && tc.want != "bus.tls_ca" && (!errors.As(err, &fault) || fault.Hint == "") {
				t.Fatalf("no hint: %v", err)
			}
		})
	}
}

// selfSigned makes a certificate of 127.0.0.1 that is its own authority.
func selfSigned(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, path
}

func caFile(t *testing.T) string {
	_, path := selfSigned(t)
	return path
}

func TestClusterTLS(t *testing.T) {
	t.Parallel()
	cert, ca := selfSigned(t)
	e := serveElsewhere(t, server.Options{JetStream: true, TLS: true, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}})
	c := openCluster(t, e, ClusterOptions{Security: Security{CAFile: ca}})
	c.checkFrames(t, 1, c.addFrames(t, 0, 3, 100))
	_, err := OpenCluster(t.Context(), ClusterOptions{URLs: []string{e.url()}, Security: Security{CAFile: caFile(t)}, Aside: Options{Dir: t.TempDir()}})
	if err == nil || !strings.Contains(err.Error(), "is not trusted") {
		t.Fatal(err)
	}
}

// TestClusterRotAside: of frames that were kept aside each damaged one is named, and
// none of those that the cluster has; a frame without records goes there for it.
func TestClusterRotAside(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		rotten []uint64
		lost   []Loss
	}{
		{"the first one", []uint64{21}, []Loss{{First: 21, Last: 21}}},
		{"the first two", []uint64{21, 22}, []Loss{{First: 21, Last: 22}}},
		{"one between", []uint64{22}, []Loss{{First: 22, Last: 22}}},
		{"the last one", []uint64{24}, []Loss{{First: 24, Last: 24}}},
		{"all", []uint64{21, 22, 23, 24}, []Loss{{First: 21, Last: 24}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			e := serveElsewhere(t, withStore())
			aside := t.TempDir()
			c := openCluster(t, e, ClusterOptions{Aside: Options{Dir: aside}})
			last := c.addFrames(t, 0, 20, 100)
			e.stop()
			for range 4 {
				last = c.sidestep(t, last)
			}
			_ = c.Close()
			for _, seq := range tc.rotten {
				flip(t, aside, seq, 100)
			}
			e.start()
			c = openCluster(t, e, ClusterOptions{Aside: Options{Dir: aside}})
			c.settled(t, last)
			got := c.Stats(t.Context()).Losses
			for i := range got {
				got[i].Found = time.Time{}
			}
			if !slices.Equal(got, tc.lost) {
				t.Errorf("lost %v, want %v", got, tc.lost)
			}
			var blank frames.Builder
			nothing := blank.Seal()
			if _, err := c.Read(t.Context(), 1, func(seq uint64, f []byte) error {
				if want := frame(seq, 100); !bytes.Equal(f, want) != slices.Contains(tc.rotten, seq) || !bytes.Equal(f, want) && !bytes.Equal(f, nothing) {
					return fmt.Errorf("frame %d is another one", seq)
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestClusterTakesUpARottenLog: of a log that was in the data folder so far what the
// archive has is no loss.
func TestClusterTakesUpARottenLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := open(t, Options{Dir: dir, After: 50})
	last := fill(t, b, 3, 100)
	_ = b.Close()
	flip(t, dir, 51, 100)
	c := openCluster(t, serveElsewhere(t, withStore()), ClusterOptions{After: 50, Aside: Options{Dir: dir}})
	c.settled(t, last)
	if got := c.Stats(t.Context()).Losses; len(got) != 1 || got[0].First != 51 || got[0].Last != 51 {
		t.Errorf("lost %v, want frame 51", got)
	}
	c.checkFrames(t, 52, last)
}
