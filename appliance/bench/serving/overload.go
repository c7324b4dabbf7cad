package serving

import (
	"bytes"
	"context"
	"math"
	"net/http"
	"sync/atomic"
	"time"

	"vitrine/appliance/bench/load"
	"vitrine/appliance/bench/report"
	"vitrine/internal/pause"
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

// The knee is looked for in small steps, up or down from about where it is, then
// once between the last rate that was held and the first that was not.
const (
	kneeStart = 0.75 // of the saturated rate
	kneeStep  = 1.1
	kneeSteps = 6
	// kneeTries are made of a rate, and most of them have to hold it: anything else
	// on the machine makes lists late in a single one, and a good moment lets a rate
	// be held that is not a second later.
	kneeTries = 3
	// beyondTimes is how often the load goes beyond the knee.
	beyondTimes = 3
	// beyondSteps is how many steps that lasts, and calm is left behind each, and
	// behind a rate that was not held: an appliance is to have forgotten it.
	beyondSteps = 3
	calm        = 1200 * time.Millisecond
)

// tally counts answers by what they are: live lists in time, whole or brief ones,
// and the others.
type tally struct{ live, brief, late, lastGood, popular, refused, other atomic.Int64 }

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
	case bytes.Contains(a.Body, dueToOverload):
		t.brief.Add(1)
	default:
		t.live.Add(1)
	}
	return true
}

// crowded offers a shop some rate over many connections.
type crowded struct {
	*Bench
	shop     *Shop
	requests [][]byte
}

// at offers a rate for a while.
func (c *crowded) at(ctx context.Context, rate float64, duration time.Duration) (*load.Result, *tally, error) {
	t := new(tally)
	r, err := load.Run(ctx, load.Options{
		Address: c.shop.Address, Requests: c.requests, Judge: t.judge, Connections: crowd, Timeout: 5 * time.Second,
		Rate: rate, Warmup: c.Rhythm.Warmup, Duration: duration,
	})
	return r, t, err
}

// holds tells whether all lists of a rate are live and in time.
func (c *crowded) holds(ctx context.Context, rate float64) (bool, error) {
	r, t, err := c.at(ctx, rate, c.Rhythm.Step)
	if err != nil {
		return false, err
	}
	if r.Response(0.99) <= inTime && r.Wrong+r.Failed+r.Unsent+t.brief.Load()+t.lastGood.Load()+t.popular.Load()+t.refused.Load() == 0 {
		return true, nil
	}
	return false, pause.For(ctx, calm)
}

// knee is the highest rate that is held, 0 where none is.
func knee(first float64, holds func(rate float64) (bool, error)) (float64, error) {
	held := func(rate float64) (bool, error) {
		const most = kneeTries/2 + 1
		for good, bad := 0, 0; ; {
			ok, err := holds(rate)
			if ok {
				good++
			} else {
				bad++
			}
			if err != nil || good == most || bad == most {
				return good == most, err
			}
		}
	}
	up, err := held(first)
	if err != nil {
		return 0, err
	}
	highest, step := first, kneeStep
	if !up {
		highest, step = 0, 1/kneeStep
	}
	for rate, n := first*step, 1; n < kneeSteps; rate, n = rate*step, n+1 {
		ok, err := held(rate)
		if err != nil {
			return 0, err
		}
		if ok {
			highest = rate
		}
		if ok != up {
			break
		}
	}
	if between := highest * math.Sqrt(kneeStep); highest > 0 {
		if ok, err := held(between); err != nil {
			return 0, err
		} else if ok {
			highest = between
		}
	}
	return highest, nil
}

// Overload finds the highest rate that is answered live within 100 ms, and
// offers three times as much, again and again, for the machine itself is a fifth
// faster or slower from one ten seconds to the next: a share is of the better of
// the knees before and behind, so that a machine that was slow at one of them
// flatters nobody.
func (b *Bench) Overload(ctx context.Context, s *Shop) error {
	c := &crowded{b, s, Gets(s.Address, s.paths(""))}
	b.Progress("serve.overload.knee", 0, 0)
	free, _, err := b.saturate(ctx, load.Options{Address: s.Address, Requests: c.requests, Judge: form}, s.CPU)
	if err != nil {
		return err
	}
	holds := func(rate float64) (bool, error) { return c.holds(ctx, rate) }
	first := kneeStart * free.Achieved
	before, err := knee(first, holds)
	if err != nil {
		return err
	}
	if before == 0 {
		least := first / math.Pow(kneeStep, kneeSteps-1)
		b.Invalid("overload: not even %.0f requests/s, %.0f %% of what is answered in a closed loop, are answered live within %s", least, 100*least/free.Achieved, inTime)
		return nil
	}
	got := &beyond{Samples: report.Samples{}}
	got.Add(overloadName+"knee", before)
	for n := range beyondTimes {
		c.Progress("serve.overload.beyond", int64(n), beyondTimes)
		live, err := c.beyond(ctx, overload*before, got)
		if err != nil {
			return err
		}
		behind, err := knee(before, holds)
		if err != nil {
			return err
		}
		got.Add(overloadName+"knee", behind)
		got.Add(overloadName+"live_to_knee", live/max(before, behind))
		if behind > 0 {
			before = behind
		}
	}
	c.report(got)
	return nil
}

// overloadName begins the names of the figures.
const overloadName = "serve.overload."

// beyond is what was seen beyond the knee.
type beyond struct {
	report.Samples
	other int64
	fault string
}

// beyond offers a rate that cannot be answered, and returns the rate of live
// answers in time.
func (c *crowded) beyond(ctx context.Context, rate float64, got *beyond) (live float64, err error) {
	long := beyondSteps * c.Rhythm.Step
	r, t, err := c.at(ctx, rate, long)
	if err != nil {
		return 0, err
	}
	live = float64(t.live.Load()+t.brief.Load()) / long.Seconds()
	got.Add(overloadName+"offered", rate)
	got.Add(overloadName+"live_in_time", live)
	for name, n := range map[string]int64{
		"brief": t.brief.Load(), "live_late": t.late.Load(), "last_good": t.lastGood.Load(), "popular": t.popular.Load(), "refused": t.refused.Load(), "unsent": r.Unsent,
	} {
		got.Add(overloadName+name, float64(n)/long.Seconds())
	}
	got.Add(overloadName+"client_cpu", float64(r.CPU.Microseconds())/float64(max(r.Total, 1)))
	if n := t.other.Load() + r.Failed; n > 0 {
		got.other, got.fault = got.other+n, r.FirstFault
	}
	return live, pause.For(ctx, calm)
}

// report makes figures of what was seen.
func (c *crowded) report(got *beyond) {
	figure := func(name, unit, better string) report.Figure { return got.Figure(overloadName+name, unit, better) }
	c.add(figure("knee", "1/s", report.Higher))
	c.add(figure("offered", "1/s", ""))
	c.add(figure("live_in_time", "1/s", report.Higher))
	c.add(figure("live_to_knee", "x", report.Higher).WithBar(barLive))
	c.add(figure("brief", "1/s", ""))
	c.add(figure("live_late", "1/s", report.Lower))
	c.add(figure("last_good", "1/s", ""))
	c.add(figure("popular", "1/s", ""))
	c.add(figure("refused", "1/s", ""))
	c.add(figure("unsent", "1/s", report.Lower))
	c.add(report.New(overloadName+"other_errors", "", report.Lower, float64(got.other)).WithBar(0))
	c.add(figure("client_cpu", "us", report.Lower))
	if got.other > 0 {
		c.Warn("overload: %s", got.fault)
	}
}
