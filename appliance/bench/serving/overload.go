package serving

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"vitrine/appliance/bench/load"
	"vitrine/appliance/bench/report"
)

const (
	// overload is the offered rate, in rates at the knee.
	overload = 3
	// inTime is what an answer may take from the moment it was due.
	inTime = 100 * time.Millisecond
	// crowd of connections: with fewer the requests would wait in the generator.
	crowd = 1024
	// barLive is the least share of live answers in time, of those at the knee.
	barLive = 0.7
)

// The knee is looked for upwards in small steps from where it cannot be yet.
const (
	kneeStart = 0.6 // of the saturated rate
	kneeUp    = 1.1
	kneeSteps = 8
)

// tally counts answers by what they are.
type tally struct{ live, late, lastGood, popular, refused, other atomic.Int64 }

// The other sources of an answer, as it names them.
var lastGoodSource, popularSource = []byte(`"source":"last_good"`), []byte(`"source":"popular"`)

// judge counts an answer; what is no answer of the ladder is wrong.
func (t *tally) judge(a load.Answer) bool {
	if !a.Counts {
		return true
	}
	switch {
	case a.Status == http.StatusServiceUnavailable:
		t.refused.Add(1)
	case a.Status != http.StatusOK:
		t.other.Add(1)
		return false
	case !bytes.Contains(a.Body, liveSource):
		if bytes.Contains(a.Body, lastGoodSource) {
			t.lastGood.Add(1)
		} else if bytes.Contains(a.Body, popularSource) {
			t.popular.Add(1)
		} else {
			t.other.Add(1)
			return false
		}
	case a.Response > inTime:
		t.late.Add(1)
	default:
		t.live.Add(1)
	}
	return true
}

// Overload finds the highest rate that is answered live within 100 ms, and
// offers three times as much.
func (b *Bench) Overload(ctx context.Context, s *Shop) error {
	requests := Gets(s.Address, s.paths(""))
	at := func(rate float64, duration time.Duration) (*load.Result, *tally, error) {
		t := new(tally)
		r, err := load.Run(ctx, load.Options{
			Address: s.Address, Requests: requests, Judge: t.judge, Connections: crowd, Timeout: 5 * time.Second,
			Rate: rate, Warmup: b.Rhythm.Warmup, Duration: duration,
		})
		return r, t, err
	}
	b.Progress("serve.overload.knee", 0, 0)
	free, _, err := b.saturate(ctx, load.Options{Address: s.Address, Requests: requests, Judge: form}, s.CPU)
	if err != nil {
		return err
	}
	knee, atKnee := 0.0, 0.0
	rate := kneeStart * free.Achieved
	for range kneeSteps {
		r, t, err := at(rate, b.Rhythm.Step)
		if err != nil {
			return err
		}
		if r.Response(0.99) > inTime || r.Wrong+r.Failed+r.Unsent+t.lastGood.Load()+t.popular.Load()+t.refused.Load() > 0 {
			break
		}
		knee, atKnee = rate, float64(t.live.Load())/b.Rhythm.Step.Seconds()
		rate *= kneeUp
	}
	if knee == 0 {
		b.Invalid("overload: not even %.0f requests/s, %.0f %% of what is answered in a closed loop, are answered live within %s", rate, 100*kneeStart, inTime)
		return nil
	}
	b.Progress("serve.overload.beyond", 0, 0)
	duration := 3 * b.Rhythm.Step
	r, t, err := at(overload*knee, duration)
	if err != nil {
		return err
	}
	per := func(n *atomic.Int64) float64 { return float64(n.Load()) / duration.Seconds() }
	const name = "serve.overload."
	b.add(report.New(name+"knee", "1/s", report.Higher, knee))
	b.add(report.New(name+"offered", "1/s", "", overload*knee))
	b.add(report.New(name+"live_in_time", "1/s", report.Higher, per(&t.live)))
	b.add(report.New(name+"live_to_knee", "x", report.Higher, per(&t.live)/atKnee).WithBar(barLive))
	b.add(report.New(name+"live_late", "1/s", report.Lower, per(&t.late)))
	b.add(report.New(name+"last_good", "1/s", "", per(&t.lastGood)))
	b.add(report.New(name+"popular", "1/s", "", per(&t.popular)))
	b.add(report.New(name+"refused", "1/s", "", per(&t.refused)))
	b.add(report.New(name+"unsent", "1/s", report.Lower, float64(r.Unsent)/duration.Seconds()))
	other := t.other.Load() + r.Failed
	b.add(report.New(name+"other_errors", "", report.Lower, float64(other)).WithBar(0))
	b.add(report.New(name+"client_cpu", "us", report.Lower, float64(r.CPU.Microseconds())/float64(max(r.Total, 1))))
	if other > 0 {
		b.Warn("overload: %s", fmt.Sprint(r.FirstFault))
	}
	return nil
}
