package appliance

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// load asks the API listener. Without a Rate it is a closed loop: every
// connection sends its next request when the last one was answered. It runs in a process of its
// own, so that what the appliance takes can be told from what the load takes.
type load struct {
	Address string
	// Kind is "events" or "recommend".
	Kind string
	// Requests go over Connections; a request of events has Batch of them.
	Requests, Connections, Batch int
	// Name makes the event ids of one load differ from another's.
	Name string
	// Rate, when set, is how many requests begin in a second, whatever becomes
	// of those before; latencies then count from when a request was due.
	Rate int
}

// loadResult is what the load saw, latencies in nanoseconds.
type loadResult struct {
	Seconds       float64
	P50, P99, Max int64
	Error         string
}

// playLoad is the process: a load as JSON on in, a loadResult on out.
func playLoad(in io.Reader, out io.Writer) int {
	var l load
	if err := json.NewDecoder(in).Decode(&l); err != nil {
		return 1
	}
	result, err := l.play()
	if err != nil {
		result.Error = err.Error()
	}
	if json.NewEncoder(out).Encode(result) != nil {
		return 1
	}
	return 0
}

func (l *load) play() (loadResult, error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, l.Connections)
	latencies := make([][]int64, l.Connections)
	began := time.Now()
	for c := range l.Connections {
		wg.Go(func() {
			conn, err := net.Dial("tcp", l.Address)
			if err != nil {
				errs[c] = err
				return
			}
			defer conn.Close()
			r := bufio.NewReaderSize(conn, 64<<10)
			var buf []byte
			random := rand.New(rand.NewPCG(uint64(c), 1))
			for n := next.Add(1); n <= int64(l.Requests); n = next.Add(1) {
				buf = l.request(buf[:0], int(n), random)
				start := time.Now()
				if l.Rate > 0 {
					start = began.Add(time.Duration(n) * time.Second / time.Duration(l.Rate))
					time.Sleep(time.Until(start))
				}
				if _, err := conn.Write(buf); err != nil {
					errs[c] = err
					return
				}
				if err := readAnswer(r); err != nil {
					errs[c] = err
					return
				}
				latencies[c] = append(latencies[c], int64(time.Since(start)))
			}
		})
	}
	wg.Wait()
	all := slices.Concat(latencies...)
	slices.Sort(all)
	result := loadResult{Seconds: time.Since(began).Seconds()}
	if n := len(all); n > 0 {
		result.P50, result.P99, result.Max = all[n/2], all[n*99/100], all[n-1]
	}
	return result, errors.Join(errs...)
}

// request appends the n-th request, written by hand: the load must cost less
// than what it measures.
func (l *load) request(dst []byte, n int, random *rand.Rand) []byte {
	if l.Kind == "recommend" {
		dst = append(dst, "GET /v1/recommend?limit=20&user_id=u"...)
		dst = strconv.AppendInt(dst, int64(random.IntN(5000)+1), 10)
		return append(dst, " HTTP/1.1\r\nHost: x\r\n\r\n"...)
	}
	dst = append(dst, "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "...)
	at := len(dst)
	dst = append(dst, "00000000\r\n\r\n"...)
	body := len(dst)
	now := time.Now().UnixMilli()
	for i := range l.Batch {
		dst = append(dst, "[,"[min(i, 1)])
		dst = append(dst, `{"user_id":"u`...)
		dst = strconv.AppendInt(dst, int64(random.IntN(5000)+1), 10)
		dst = append(dst, `","item_id":"i`...)
		dst = strconv.AppendInt(dst, int64(random.IntN(2000)+1), 10)
		dst = append(dst, `","event_type":"view","ts":`...)
		dst = strconv.AppendInt(dst, now, 10)
		dst = append(dst, `,"event_id":"`...)
		dst = append(append(dst, l.Name...), '-')
		dst = strconv.AppendInt(dst, int64(n), 10)
		dst = append(dst, '-')
		dst = strconv.AppendInt(dst, int64(i), 10)
		dst = append(dst, `","session_id":"s`...)
		dst = strconv.AppendInt(dst, int64(n%1000), 10)
		dst = append(dst, `"}`...)
	}
	dst = append(dst, ']')
	copy(dst[at:], fmt.Sprintf("%08d", len(dst)-body))
	return dst
}

// readAnswer reads one answer and wants it to be a success.
func readAnswer(r *bufio.Reader) error {
	length := -1
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && !bytes.HasPrefix(line, []byte("HTTP/1.1 20")) {
			return fmt.Errorf("answer %s", line)
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
		if len(bytes.TrimSpace(line)) == 0 {
			break
		}
	}
	if length < 0 {
		return errors.New("an answer without a length")
	}
	_, err := r.Discard(length)
	return err
}

// run plays the load from another process.
func (l load) run(t testing.TB) loadResult {
	t.Helper()
	input, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "load")
	cmd.Stdin = bytes.NewReader(input)
	cmd.Stderr = os.Stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var result loadResult
	if err := json.Unmarshal(output, &result); err != nil || result.Error != "" {
		t.Fatalf("load: %v %s", err, result.Error)
	}
	return result
}

// cpu is what this process has computed so far.
func cpu() time.Duration {
	var use syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &use)
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// rssMiB is the resident memory of this process.
func rssMiB() float64 {
	text, _ := os.ReadFile("/proc/self/statm")
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.Atoi(fields[1])
	return float64(pages*os.Getpagesize()) / (1 << 20)
}

func (r *rig) address() string {
	api, _ := r.app.server.Addresses()
	return api.String()
}

// BenchmarkIngest is the way of events over TCP to the disk and into the
// histories: HTTP, JSON, validation, deduplication, frame, fsync, answer. The
// limits: 8 calls in flight share each fsync of the disk (1 to 3 ms here), so
// no more than 8*batch events a fsync; and 2 cores divided by the CPU of one
// event. One op is one request.
func BenchmarkIngest(b *testing.B) {
	for _, c := range []struct {
		name               string
		connections, batch int
	}{{"batch100", 8, 100}, {"single", 1, 1}, {"singles", 8, 1}} {
		b.Run(c.name, func(b *testing.B) {
			r := run(b, shortDir(b), nil)
			l := load{
				Address: r.address(), Kind: "events", Name: c.name, Requests: 200,
				Connections: c.connections, Batch: c.batch,
			}
			l.run(b) // warm
			l.Name, l.Requests = c.name+"x", b.N
			used := cpu()
			b.ResetTimer()
			result := l.run(b)
			b.StopTimer()
			used = cpu() - used
			events := float64(b.N * c.batch)
			b.ReportMetric(events/result.Seconds, "events/s")
			b.ReportMetric(float64(used)/events, "cpu-ns/event")
			b.ReportMetric(float64(result.P50)/1e6, "p50-ms")
			b.ReportMetric(float64(result.P99)/1e6, "p99-ms")
			b.ReportMetric(rssMiB(), "RSS-MiB")
			stats := r.app.parts.bus.Stats(b.Context())
			b.ReportMetric(float64(stats.AppendTime.Microseconds())/1e3/float64(max(stats.Appends, 1)), "ms/append")
			r.close()
		})
	}
}

// BenchmarkAnswers asks the demo shop for lists of 20 over TCP, users drawn
// from all: in closed loops, then 200 a second while a file is imported and
// while models are trained. The limit is what the same server takes for a route
// that computes nothing.
func BenchmarkAnswers(b *testing.B) {
	r := newRig(b, shortDir(b), nil)
	r.app.config.Train.Rank, r.app.config.Train.Iterations = 0, 0
	r.app.opt.Demo = true
	r.start()
	b.Logf("%.0f MiB resident with the demo shop", rssMiB())
	for _, connections := range []int{1, 8} {
		b.Run(fmt.Sprintf("connections%d", connections), func(b *testing.B) {
			l := load{Address: r.address(), Kind: "recommend", Requests: 500, Connections: connections}
			l.run(b)
			l.Requests = b.N
			used := cpu()
			b.ResetTimer()
			result := l.run(b)
			b.StopTimer()
			b.ReportMetric(float64(b.N)/result.Seconds, "answers/s")
			b.ReportMetric(float64(cpu()-used)/float64(b.N)/1e3, "cpu-us/answer")
			b.ReportMetric(float64(result.P50)/1e6, "p50-ms")
			b.ReportMetric(float64(result.P99)/1e6, "p99-ms")
			b.ReportMetric(rssMiB(), "RSS-MiB")
		})
	}
	for name, busy := range map[string]func(){"importing": r.importAway, "training": func() { r.train() }} {
		b.Run(name, func(b *testing.B) {
			done, stop := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(done)
				for {
					select {
					case <-stop:
						return
					default:
						busy()
					}
				}
			}()
			result := load{Address: r.address(), Kind: "recommend", Requests: b.N, Connections: 16, Rate: 200}.run(b)
			close(stop)
			<-done
			b.ReportMetric(float64(result.P50)/1e6, "p50-ms")
			b.ReportMetric(float64(result.P99)/1e6, "p99-ms")
			b.ReportMetric(float64(result.Max)/1e6, "max-ms")
			b.ReportMetric(rssMiB(), "RSS-MiB")
		})
	}
	r.close()
}

// importAway imports a file of 200,000 rows that differs from the one before.
func (r *rig) importAway() {
	var csv bytes.Buffer
	csv.WriteString("user_id,item_id,event_type,ts,value\n")
	for n := range int64(200_000) {
		fmt.Fprintf(&csv, "u%d,i%d,purchase,%d,%d\n", n*7%5000+1, n*13%2000+1, time.Now().UnixMilli()-n*1000, n%5+1)
	}
	var out taken
	if code := r.send("POST", "/v1/import?kind=events&name=x.csv", &csv, &out); code != http.StatusOK {
		r.t.Errorf("import: %d %+v", code, out)
	}
}
