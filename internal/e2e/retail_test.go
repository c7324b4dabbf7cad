package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/therootcompany/xz"

	"vitrine/bridge/parquet"
)

// retailFile is the real shop's log, from the repository's folder.
const retailFile = "../shared/data/online-retail/online_retail.csv.xz"

// strict makes the figures of the machine's speed fail the tests, and not only
// show: VITRINE_STRICT=1 on a quiet machine.
func strict() bool { return os.Getenv("VITRINE_STRICT") == "1" }

// figure logs a measured value beside its bar, which fails the test only in
// strict runs: other work on the machine is not a fault of the product.
func figure(t *testing.T, ok bool, format string, args ...any) {
	t.Helper()
	text := fmt.Sprintf(format, args...)
	switch {
	case ok:
		t.Log(text)
	case strict():
		t.Error("MISSED: " + text)
	default:
		t.Log("missed on this machine: " + text)
	}
}

// TestRetail walks "Your own data" of the README with the real shop's log.
func TestRetail(t *testing.T) {
	skipShort(t)
	if _, err := os.Stat(filepath.Join(root, retailFile)); err != nil {
		t.Skipf("the Online Retail log is not at %s: %v", retailFile, err)
	}
	lines := readme(t, "Your own data")
	serve, importing, train, recommend, ask := lines[0], lines[1], lines[2], lines[3], lines[4]
	if fmt.Sprint(serve) != "[dist/vitrine serve --data shop &]" || len(lines) != 5 {
		t.Fatalf("the README's lines changed; change this test with them: %q", lines)
	}
	dir := shortDir(t)
	d := start(t, dir)
	walk := &walk{t: t, d: d}

	out := walk.type_(importing).must(t).out
	for _, want := range []string{"read 541,909 rows", "accepted 404,909", "duplicate 0", "rejected 0", "skipped 137,000", "8,539 of the accepted and duplicate rows remove"} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("the import does not print %q:\n%s", want, out)
		}
	}
	t.Logf("from .xz: %s", strings.SplitN(out, "\n", 2)[0])
	walk.copies(importing)

	begin := time.Now()
	out = walk.type_(train).must(t).out
	figure(t, time.Since(begin) <= 3*time.Second, "train with evaluation, from the command to its verdict: %.2f s, bar 3 s", time.Since(begin).Seconds())
	if !strings.Contains(out, " is live: better than popularity") {
		t.Errorf("train prints\n%s", out)
	}
	walk.quality()
	walk.answers(recommend, ask)
	walk.archive()
	walk.load(importing)

	d.stop()
	walk.d = start(t, dir)
	if again := walk.counts(walk.with(importing, walk.plain)); again.Accepted != 0 || again.Duplicate != 404909 {
		t.Errorf("imported again after a restart: %+v", again)
	}
	walk.d.stop()
}

// shortDir is a data folder whose socket's path is short enough for the
// system, also where the folder for temporary files is deep.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "v")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// walk is the way through the README with one daemon.
type walk struct {
	t     *testing.T
	d     *daemon
	plain string // the log as plain CSV
}

// type_ runs a README line as it stands, but for the program's place and the
// data folder.
func (w *walk) type_(line []string) result {
	w.t.Helper()
	path, err := binary()
	if err != nil {
		w.t.Fatal(err)
	}
	if line[0] != "dist/vitrine" {
		w.t.Fatalf("%q does not call dist/vitrine", line)
	}
	args := slices.Clone(line[1:])
	i := slices.Index(args, "shop")
	if i < 1 || args[i-1] != "--data" {
		w.t.Fatalf("%q has no --data shop", line)
	}
	args[i] = w.d.dir
	cmd := exec.Command(path, args...)
	cmd.Dir = root
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	bind(cmd)
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		w.t.Fatal(err)
	}
	return result{code: cmd.ProcessState.ExitCode(), out: out.String(), err: errOut.String()}
}

// with is the import line with --json and another file.
func (w *walk) with(line []string, file string) []string {
	return append(slices.Clone(line[:len(line)-1]), "--json", file)
}

// imported is what import --json prints.
type imported struct {
	Read, Accepted, Duplicate, Rejected, Skipped int64
	Seconds                                      float64
}

func (w *walk) counts(line []string) (n imported) {
	w.t.Helper()
	r := w.type_(line).must(w.t)
	if err := json.Unmarshal([]byte(r.out), &n); err != nil {
		w.t.Fatalf("%v in %q", err, r.out)
	}
	if n.Accepted+n.Duplicate+n.Rejected+n.Skipped != n.Read {
		w.t.Errorf("%+v does not add up", n)
	}
	return n
}

// copies imports the same rows again: as a plain, renamed file, and with rows
// appended, of which one is new and one repeats the last one, as a customer
// who really took two does.
func (w *walk) copies(importing []string) {
	w.t.Helper()
	dir := shortDir(w.t)
	w.plain = filepath.Join(dir, "renamed.csv")
	last := unpack(w.t, w.plain)
	n := w.counts(w.with(importing, w.plain))
	if n.Accepted != 0 || n.Duplicate != 404909 || n.Skipped != 137000 {
		w.t.Errorf("the renamed copy: %+v", n)
	}
	longer := filepath.Join(dir, "longer.csv")
	text, err := os.ReadFile(w.plain)
	if err != nil {
		w.t.Fatal(err)
	}
	text = append(text, last+"\n581588,85123A,A NEW ROW,3,2011-12-09 12:51:00,2.95,17850,United Kingdom\n"...)
	if err := os.WriteFile(longer, text, 0o600); err != nil {
		w.t.Fatal(err)
	}
	if n = w.counts(w.with(importing, longer)); n.Accepted != 2 || n.Duplicate != 404909 {
		w.t.Errorf("the copy with two rows appended: %+v", n)
	}
	rate := float64(n.Read) / n.Seconds
	w.t.Logf("plain CSV of rows that are known: %.0f rows/s", rate)
}

// unpack writes the log as plain CSV and returns its last row.
func unpack(t *testing.T, to string) (last string) {
	t.Helper()
	in, err := os.Open(filepath.Join(root, retailFile))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	x, err := xz.NewReader(bufio.NewReader(in), 0)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(x)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, text, 0o600); err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(strings.TrimSpace(string(text[len(text)-1000:])), "\n")
	return strings.TrimSpace(rows[len(rows)-1])
}

// quality wants the published model to beat popularity as the README's set
// must: 1.5 times, with the interval of the difference above 0.
func (w *walk) quality() {
	w.t.Helper()
	var list struct {
		Models []struct {
			State   string
			Metrics []struct {
				Name     string
				Metrics  map[string]float64
				Interval map[string][]float64
			}
		}
	}
	out := vitrine(w.t, "model", "list", "--json", "--data", w.d.dir).must(w.t).out
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Models) != 1 || list.Models[0].State != "live" {
		w.t.Fatalf("model list: %v\n%s", err, out)
	}
	const name = "ndcg@10"
	value, low := map[string]float64{}, map[string]float64{}
	for _, m := range list.Models[0].Metrics {
		value[m.Name], low[m.Name] = m.Metrics[name], m.Interval[name][0]
	}
	w.t.Logf("NDCG@10 %.4f, popularity %.4f: %.2f times; the difference is at least %.4f",
		value["blend"], value["popularity"], value["blend"]/value["popularity"], low["blend-popularity"])
	if value["popularity"] <= 0 || value["blend"] < 1.5*value["popularity"] || low["blend-popularity"] <= 0 {
		w.t.Errorf("NDCG@10 is less than 1.5 times popularity's: %v, lower bounds %v", value, low)
	}
}

func (w *walk) answers(recommend, ask []string) {
	w.t.Helper()
	out := w.type_(recommend).must(w.t).out
	if rows := strings.Split(strings.TrimSpace(out), "\n"); len(rows) != 7 || !strings.Contains(rows[0], "name") || !strings.HasPrefix(rows[6], "source: live") {
		w.t.Errorf("recommend prints\n%s", out)
	}
	var l list
	if err := json.Unmarshal([]byte(w.d.curl(ask)), &l); err != nil {
		w.t.Fatal(err)
	}
	if l.Source != "live" || len(l.Items) != 5 {
		w.t.Errorf("%q answers %+v", ask, l)
	}
	for _, it := range l.Items {
		if name, _ := it.Fields["name"].(string); name == "" {
			w.t.Errorf("item %s has no name", it.ItemID)
		}
		if !strings.Contains(out, it.ItemID) {
			w.t.Errorf("the command does not print %s, which the API answers", it.ItemID)
		}
	}
	var plain struct{ Recommendations []string }
	w.d.get("/recommend?user_id=17850", &plain)
	if len(plain.Recommendations) != 20 || plain.Recommendations[0] != l.Items[0].ItemID {
		w.t.Errorf("/recommend answers %v", plain)
	}
}

// archive counts the rows of the Parquet files against the CSV, read by other
// code than the product's. Training has committed everything.
func (w *walk) archive() {
	w.t.Helper()
	wantAll, wantRemoves := countRetail(w.t, w.plain)
	all, removes := 2, 0 // the appended ones
	scanArchive(w.t, w.d.dir, parquet.UserID|parquet.EventType, func(b *parquet.EventBatch) {
		wantAll -= b.Len
		for i := range b.Len {
			if b.EventType.At(i) == "remove" {
				removes++
			}
		}
	})
	if wantAll != -all || removes != wantRemoves {
		w.t.Errorf("the archive has %d rows too few and %d removes, want %d removes", wantAll+all, removes, wantRemoves)
	}
	w.t.Logf("%d removes in the archive", removes)
}

// countRetail counts what the README's import keeps, and how many are removes.
func countRetail(t *testing.T, path string) (all, removes int) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(bufio.NewReaderSize(f, 1<<20))
	r.ReuseRecord = true
	if _, err := r.Read(); err != nil {
		t.Fatal(err)
	}
	none := []string{"POST", "M", "C2", "D", "DOT", "CRUK", "BANK CHARGES", "PADS"}
	for {
		row, err := r.Read()
		if err == io.EOF {
			return all, removes
		}
		if err != nil {
			t.Fatal(err)
		}
		if row[6] == "" || slices.Contains(none, row[1]) {
			continue
		}
		all++
		if strings.HasPrefix(row[0], "C") {
			removes++
		}
	}
}

// scanArchive reads every event file, without deduplication.
func scanArchive(t *testing.T, dir string, columns parquet.Columns, fn func(*parquet.EventBatch)) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "archive", "events", "dt=*", "*.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	scanner := parquet.NewEventScanner(columns)
	for _, name := range files {
		f, err := parquet.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		err = scanner.Scan(context.Background(), f, func(b *parquet.EventBatch) error {
			fn(b)
			return nil
		})
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// The load check asks at a fixed rate, also when answers are late: a slow one
// counts with the time from when it was due.
const (
	loadQPS = 200
	loadBar = 100 * time.Millisecond // the product's figure, for quiet machines
)

// load asks for recommendations while the log is imported as event types that
// make every row a new event, so that all of it is written.
func (w *walk) load(importing []string) {
	w.t.Helper()
	stop := make(chan struct{})
	var took []time.Duration
	var refused int
	var asked atomic.Int64
	var asking sync.WaitGroup
	asking.Go(func() { took, refused = openLoop(w.t, w.d.url, &asked, stop) })
	rows, seconds := int64(0), 0.0
	for n, kind := range []string{"view", "cart", "click", "favorite"} {
		if n > 1 && asked.Load() >= loadQPS {
			break // the others are for a process that was held up meanwhile
		}
		line := w.with(importing, w.plain)
		for i := range line {
			line[i] = strings.Replace(line[i], "event_type==purchase", "event_type=="+kind, 1)
		}
		// The removes carry no type of their own: they are known.
		if got := w.counts(line); got.Accepted < 390000 {
			w.t.Errorf("import as %s: %+v", kind, got)
		} else {
			rows, seconds = rows+got.Read, seconds+got.Seconds
		}
	}
	close(stop)
	asking.Wait()
	slices.Sort(took)
	if len(took) < refused || len(took)+refused < loadQPS {
		w.t.Fatalf("only %d requests answered, %d refused", len(took), refused)
	}
	at := func(q float64) time.Duration { return took[int(q*float64(len(took)-1))] }
	rate := float64(rows) / seconds
	figure(w.t, rate >= 150e3, "import of new rows from plain CSV, while answering: %.0f rows/s, bar 150,000", rate)
	p99 := at(.99)
	figure(w.t, refused == 0, "/recommend at %d QPS while importing: %d requests refused, bar 0", loadQPS, refused)
	figure(w.t, p99 <= loadBar, "/recommend at %d QPS while importing, %d requests: p50 %v, p99 %v, slowest %v; bar for p99 %v",
		loadQPS, len(took), at(.5).Round(10*time.Microsecond), p99.Round(10*time.Microsecond), at(1).Round(10*time.Microsecond), loadBar)
}

// openLoop asks until stopped, and counts what it asks. It returns the times from
// when each request was due, and how many were refused, as a machine that others
// keep busy must refuse some: properly, and to come again. One that fails otherwise
// fails the test.
func openLoop(t *testing.T, url string, asked *atomic.Int64, stop <-chan struct{}) (took []time.Duration, refused int) {
	client := &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
	defer client.CloseIdleConnections()
	var mu sync.Mutex
	var wg sync.WaitGroup
	begin := time.Now()
	for n := 0; ; n++ {
		due := begin.Add(time.Duration(n) * time.Second / loadQPS)
		select {
		case <-stop:
			wg.Wait()
			return took, refused
		case <-time.After(time.Until(due)):
		}
		asked.Add(1)
		wg.Go(func() {
			resp, err := client.Get(fmt.Sprintf("%s/recommend?user_id=%d", url, 12346+n%5000))
			if err != nil {
				t.Errorf("request %d: %v", n, err)
				return
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			turned := resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != "" && strings.Contains(string(body), `"code":"overloaded"`)
			if err != nil || resp.StatusCode != http.StatusOK && !turned {
				t.Errorf("request %d: %s, %v\n%s", n, resp.Status, err, body)
			}
			mu.Lock()
			defer mu.Unlock()
			if turned {
				refused++
				return
			}
			took = append(took, time.Since(due))
		})
	}
}
