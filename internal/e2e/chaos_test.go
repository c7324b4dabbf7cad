package e2e

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"vitrine/internal/realservers"
)

// The bars of each cell of the table.
const (
	chaosLists    = 100 * time.Millisecond
	chaosWait     = 4 * time.Second
	chaosRecovery = 5 * time.Second
)

// chaosServer is a server that an appliance depends on, behind a proxy.
type chaosServer struct {
	name  string
	proxy *realservers.Proxy
	// settings lead the appliance to it.
	settings []string
	// mark is called when a fault ends; what it returns tells whether the
	// appliance has got over it.
	mark func(d *daemon) (recovered func() bool)
	// sent are users whose events went another way than by HTTP.
	sent func() []string
}

// TestRealChaos is the table of faults: each server that an appliance depends
// on is refused, silent, slow and reset in mid-answer, for VITRINE_FAULT (30 s in
// make chaos), under load by HTTP, with a trained shop. In the end everything that
// was acknowledged must be in the archive once.
func TestRealChaos(t *testing.T) {
	realservers.Require(t)
	table := []string{
		fmt.Sprintf("| %-6s | %-20s | %7s | %16s | %9s | %3s | %5s | %6s | %14s | %7s | %10s |", "server", "fault", "seconds", "p99 ms before it", "in it", "5xx", "lists", "events", "longest wait s", "refused", "recovery s"),
		"|--------|----------------------|--------:|-----------------:|----------:|----:|------:|-------:|---------------:|--------:|-----------:|",
	}
	var sums []string
	for _, server := range []struct {
		name  string
		start func(*testing.T) *chaosServer
	}{{"kafka", chaosKafka}, {"hdfs", chaosHDFS}, {"nats", chaosNATS}} {
		t.Run(server.name, func(t *testing.T) {
			rows, sum := chaos(t, server.start(t))
			table, sums = append(table, rows...), append(sums, sum)
		})
	}
	// Not by the test's log, which would put its place before each line.
	fmt.Printf("\n%s\n\n%s\nbars: p99 %v, no 5xx, no wait above %v, nothing refused, recovery %v\n\n",
		strings.Join(table, "\n"), strings.Join(sums, "\n"), chaosLists, chaosWait, chaosRecovery)
}

// chaos lets everything befall a server, and returns a row of the table each and
// what became of the events.
func chaos(t *testing.T, s *chaosServer) (rows []string, sum string) {
	args := append([]string{"--demo", "--set", "archive.commit_every=5s", "--set", "train.schedule=off"}, productDeadline...)
	for _, setting := range s.settings {
		args = append(args, "--set", setting)
	}
	d := start(t, shortDir(t), args...)
	load := &ledger{sent: map[string]bool{}, acked: map[string]bool{}}
	clicks := &trickle{ledger: load, url: d.url}
	stop := clicks.run(t)
	time.Sleep(time.Second)
	for _, fault := range []realservers.Fault{realservers.Refused, realservers.Silent, realservers.Slow, realservers.Reset} {
		clicks.take()
		time.Sleep(2 * time.Second)
		before := clicks.take().p99
		if err := s.proxy.Set(fault); err != nil {
			t.Fatal(err)
		}
		time.Sleep(faultTime())
		seen := clicks.take()
		if err := s.proxy.Set(realservers.None); err != nil {
			t.Fatal(err)
		}
		began, recovered := time.Now(), s.mark(d)
		for !recovered() {
			if time.Since(began) > time.Minute {
				t.Fatalf("%s: not over it a minute later\n%s", fault, d.err)
			}
			time.Sleep(20 * time.Millisecond)
		}
		took := time.Since(began)
		after := clicks.take()
		wait := max(seen.wait, after.wait)
		failed, refused := seen.failed+after.failed, seen.refused+after.refused
		rows = append(rows, fmt.Sprintf("| %-6s | %-20s | %7.0f | %16.1f | %9.1f | %3d | %5d | %6d | %14.1f | %7d | %10.1f |", s.name, fault, faultTime().Seconds(), before.Seconds()*1000,
			seen.p99.Seconds()*1000, failed, seen.lists, seen.acked, wait.Seconds(), refused, took.Seconds()))
		t.Log(rows[len(rows)-1])
		if before > chaosLists/4 {
			// Others use the machine: its times say little of this program.
			t.Logf("p99 is %v without any fault: the bars of time do not count", before)
			took, seen.p99, wait = 0, 0, 0
		}
		if seen.p99 > chaosLists || failed+refused > 0 || seen.acked == 0 || wait > chaosWait || took > chaosRecovery {
			t.Errorf("%s: p99 %v (bar %v), %d lists failed, %d events acknowledged within %v (bar %v) and %d requests refused, over it after %v (bar %v)",
				fault, seen.p99, chaosLists, failed, seen.acked, wait, chaosWait, refused, took, chaosRecovery)
		}
	}
	stop()
	users := s.sent()
	d.settle()
	found := archived(t, d.dir)
	lost, doubled := 0, 0
	for user := range load.acked {
		users = append(users, user)
	}
	for _, user := range users {
		switch n := found[user]; {
		case n == 0:
			lost++
		case n > 1:
			doubled++
		}
	}
	sum = fmt.Sprintf("%s: %d events acknowledged, %d lost, %d doubled", s.name, len(users), lost, doubled)
	if lost+doubled > 0 {
		t.Error(sum)
	}
	return rows, sum
}

// realProxy stands before a server, and goes wrong where it is told to.
func realProxy(t *testing.T, target string) *realservers.Proxy {
	t.Helper()
	p, err := realservers.NewProxy(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// chaosKafka is a broker that 400 records a second go to, past the proxy.
func chaosKafka(t *testing.T) *chaosServer {
	proxy := realProxy(t, "")
	b := realservers.During(t, realservers.Kafka{Dir: t.TempDir(), Advertised: proxy.Address}.Start)
	proxy.Target = b.Address
	cl := directClient(t, b)
	ctx, cancel := context.WithCancel(context.Background())
	var produced atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			n := produced.Load()
			batch := make([]*kgo.Record, 40)
			for i := range batch {
				user := "k-" + strconv.Itoa(int(n)+i)
				batch[i] = &kgo.Record{Topic: "user-events", Key: []byte(user), Value: []byte(`{"user_id":"` + user + `","item_id":"i1","event_type":"view"}`)}
			}
			if err := cl.ProduceSync(ctx, batch...).FirstErr(); err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
				return
			}
			produced.Add(int64(len(batch)))
			time.Sleep(100 * time.Millisecond)
		}
	})
	stop := func() { cancel(); wg.Wait() }
	t.Cleanup(stop)
	mark := func(d *daemon) func() bool {
		want := produced.Load()
		return func() bool { p := d.pipeline(); return p.Kafka.Connected && p.Kafka.Accepted >= want }
	}
	var last *daemon
	return &chaosServer{
		name: "kafka", proxy: proxy, settings: []string{"kafka.brokers=" + proxy.Address},
		mark: func(d *daemon) func() bool { last = d; return mark(d) },
		sent: func() []string {
			stop()
			users := make([]string, produced.Load())
			for i := range users {
				users[i] = "k-" + strconv.Itoa(i)
			}
			until(t, "all records are read", mark(last))
			return users
		},
	}
}

// chaosHDFS is a NameNode with one DataNode, which keeps the copy of the archive.
// Only the NameNode is behind the proxy.
func chaosHDFS(t *testing.T) *chaosServer {
	c := realservers.During(t, realservers.HDFS{Dir: t.TempDir(), DataNodes: 1}.Start)
	proxy := realProxy(t, c.Address)
	return &chaosServer{
		name: "hdfs", proxy: proxy, settings: []string{"archive.url=hdfs://" + proxy.Address + "/user/chaos", "archive.replication=1"},
		mark: func(d *daemon) func() bool {
			want, _, _ := d.copyState()
			return func() bool { _, have, fault := d.copyState(); return have >= want && fault == "" }
		},
		sent: func() []string { return nil },
	}
}

// chaosNATS is the server that keeps the log.
func chaosNATS(t *testing.T) *chaosServer {
	c := realNATS(t, 1)
	proxy := realProxy(t, strings.TrimPrefix(c.URLs[0], "nats://"))
	return &chaosServer{
		name: "nats", proxy: proxy, settings: []string{"bus.url=nats://" + proxy.Address, "bus.replicas=1"},
		mark: func(d *daemon) func() bool {
			return func() bool { s := d.bus(); return s.State == "ok" && s.AsideFrames == 0 }
		},
		sent: func() []string { return nil },
	}
}
