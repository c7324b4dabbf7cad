package serving

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"vitrine/appliance/bench/load"
	"vitrine/appliance/bench/report"
	"vitrine/appliance/registry"
	"vitrine/internal/pause"
)

const (
	// swapCount is how often the model is changed under load.
	swapCount = 100
	// swapPause is between two changes: each takes all cores for a moment.
	swapPause = 50 * time.Millisecond
	// swapRate of requests beside, and swapMost the time that it may take.
	swapRate = 1000
	swapMost = 4 * time.Minute
)

// TwoModels puts a second model into the data folder of an appliance that does
// not run: the live one's factors for other items. The way back from the live
// version then leads to the two in turn, so often that every rollback of Swaps
// changes from one to the other.
func TwoModels(dir string) error {
	b, err := liveBundle(dir)
	if err != nil {
		return err
	}
	dir = filepath.Join(dir, "models")
	live, other := b.Version, *b
	other.Version, other.Evaluated, other.Sources = live+"-other", nil, nil
	n := len(b.ItemIDs)
	other.ItemIDs = make([]string, n)
	for row := range other.ItemIDs {
		other.ItemIDs[row] = b.ItemIDs[(row+n/2)%n]
	}
	if err := registry.Write(filepath.Join(dir, other.Version+".bundle"), &other); err != nil {
		return err
	}
	way := strings.Repeat(live+"\n"+other.Version+"\n", swapCount/2+1)
	if err := os.WriteFile(filepath.Join(dir, "live"), []byte(way), 0o640); err != nil {
		return fmt.Errorf("write the way back: %w", err)
	}
	return nil
}

// errAlike says that two models cannot be told apart.
var errAlike = errors.New("the two models' lists have items in common for nearly every user")

// disjoint keeps the requests whose lists have no item in common.
func disjoint(paths []string, a, b [][]byte) (kept []string, keptA, keptB [][]byte) {
	for i := range paths {
		mine := map[string]bool{}
		for _, id := range ids(a[i]) {
			mine[id] = true
		}
		common := false
		for _, id := range ids(b[i]) {
			common = common || mine[id]
		}
		if !common {
			kept, keptA, keptB = append(kept, paths[i]), append(keptA, a[i]), append(keptB, b[i])
		}
	}
	return kept, keptA, keptB
}

// ids are the items of a list.
func ids(body []byte) []string {
	var out []string
	for part := range strings.SplitSeq(string(body), `"item_id":"`) {
		id, _, _ := strings.Cut(part, `"`)
		out = append(out, id)
	}
	return out[1:]
}

// items is an answer up to the end of its list.
func items(body []byte) []byte { return body[:bytes.Index(body, []byte(`],"source":`))] }

// Swaps changes between two models, whose lists have nothing in common, while
// it asks. Every answer must be the one or the other's own.
func (b *Bench) Swaps(ctx context.Context, s *Shop) error {
	paths := s.paths("&exclude_seen=true")
	b.Progress("serve.swaps.ask", 0, 0)
	first, err := Expect(ctx, s.Address, paths)
	if err != nil {
		return err
	}
	if _, err := s.API.Rollback(ctx); err != nil {
		return err
	}
	second, err := Expect(ctx, s.Address, paths)
	if err != nil {
		return err
	}
	all := len(paths)
	if paths, first, second = disjoint(paths, first, second); len(paths) < all/4 {
		return errAlike
	}
	until, ended := make(chan struct{}), make(chan error, 1)
	var r *load.Result
	var kept atomic.Int64 // answers of a model's own that were not made anew
	go func() {
		var err error
		r, err = load.Run(ctx, load.Options{
			Address: s.Address, Requests: Gets(s.Address, paths), Rate: swapRate, Warmup: b.Rhythm.Warmup, Duration: swapMost, Until: until,
			Judge: func(a load.Answer) bool {
				if a.Status != http.StatusOK || !bytes.HasPrefix(a.Body, items(first[a.Request])) && !bytes.HasPrefix(a.Body, items(second[a.Request])) {
					return false
				}
				if a.Counts && !bytes.Contains(a.Body, liveSource) {
					kept.Add(1)
				}
				return true
			},
		})
		ended <- err
	}()
	var took []float64
	for n := range swapCount {
		b.Progress("serve.swaps.swap", int64(n), swapCount)
		begin := time.Now()
		if _, err = s.API.Rollback(ctx); err != nil {
			break
		}
		took = append(took, report.Milliseconds(time.Since(begin)))
		_ = pause.For(ctx, swapPause) // the next question says that ctx ended
	}
	close(until)
	if err = errors.Join(err, <-ended); err != nil {
		return err
	}
	wrong := r.Wrong + r.Failed + r.Unsent
	if wrong > 0 {
		b.Warn("swaps: of %d requests %d got an answer of neither model, or none: %s", r.Requests, wrong, r.FirstFault)
	}
	const name = "serve.swaps."
	b.add(report.New(name+"wrong", "", report.Lower, float64(wrong)).WithBar(0))
	b.add(report.New(name+"last_good", "", report.Lower, float64(kept.Load())))
	b.add(report.New(name+"requests", "", "", float64(r.Requests)))
	b.add(report.New(name+"swaps", "", "", float64(len(took))))
	b.add(report.New(name+"took", "ms", report.Lower, took...))
	b.add(report.New(name+"p99", "ms", report.Lower, report.Milliseconds(r.Response(0.99))))
	return nil
}
