package sandbox

import (
	"errors"
	"time"

	"vitrine/appliance/frame"
	"vitrine/internal/logkey"
	"vitrine/sdk/abi"
)

// Status is what became of a call.
type Status string

// The statuses.
const (
	OK      Status = "ok"
	Skipped Status = "skipped"
	Failed  Status = "failed"
)

// minCall is the least time that is worth a call.
const minCall = 10 * time.Microsecond

// Period is the time that something may take. It is handed on from stage to
// stage, because reading the clock costs as much as a small plugin.
type Period struct {
	Start   time.Time
	Allowed time.Duration
	// Whole is what Allowed is when nothing before has used up time.
	Whole time.Duration
}

// Run calls the plugin within the time allowed, if it may be called now, and
// says what became of it and when it ended. Unless the status is OK the frame
// and the features in r are as they were.
func (st *Stage) Run(r *Scratch, f *frame.Frame, p Period) (Status, time.Time) {
	v := st.version
	c := &v.costs[st.kind]
	if p.Allowed < minCall || c.expected(f.Len()) > p.Allowed {
		c.skipped()
		v.counters.skipped.Add(1)
		return Skipped, p.Start
	}
	if !v.breaker.Allow() {
		v.counters.skipped.Add(1)
		return Skipped, p.Start
	}
	in, waited, err := v.take(p)
	start := p.Start
	if waited {
		start = time.Now() // what others took says nothing about this call
	}
	end := start
	if err == nil {
		end, err = v.call(st, in, r, f, run{p, start})
	}
	if errors.Is(err, errBusy) || errors.Is(err, errLate) || errors.Is(err, errCut) {
		v.breaker.Abandon()
		v.counters.skipped.Add(1)
		return Skipped, time.Now()
	}
	v.counters.calls.Add(1)
	v.counters.nanos.Add(int64(end.Sub(p.Start)))
	if err != nil {
		v.fault(st.kind.String(), err)
		return Failed, end
	}
	if v.breaker.Succeeded() {
		v.spec.Log.Info("plugin is back from quarantine", keyPlugin, v.manifest.Name)
	}
	return OK, end
}

// errOverran says that a call took very much longer than its fuel should have
// lasted.
var errOverran = errors.New("out of fuel long after its time")

// errCut says that fuel ran out before the plugin had all that it may use.
var errCut = errors.New("out of fuel early")

// early makes of a preparation that ran out of fuel one for which the request
// had no time: that is not the plugin's fault.
func early(err error) error {
	if errors.Is(err, errFuel) {
		return errCut
	}
	return err
}

// run is a call's period and when its turn came.
type run struct {
	Period
	turn time.Time
}

// errLate says that the time was over between two parts of a batch.
var errLate = errors.New("no time left")

// call runs a whole batch through one instance, in parts, and commits the
// results once all of them are there. It says when it ended.
func (v *Version) call(st *Stage, in *instance, r *Scratch, f *frame.Frame, p run) (time.Time, error) {
	c := &v.costs[st.kind]
	n := f.Len()
	start, spent := p.turn, int64(0)
	for from := 0; from < n; from += abi.MaxRows {
		allowed := p.Allowed - start.Sub(p.Start)
		if allowed < minCall {
			v.put(in)
			return start, errLate
		}
		to := min(from+abi.MaxRows, n)
		if to-from > int(in.layout.Cap) {
			if err := in.within(allowed, func() error { return in.grow(to - from) }); err != nil {
				v.discard(in)
				return time.Now(), early(err)
			}
			start = time.Now()
			if allowed = p.Allowed - start.Sub(p.Start); allowed < minCall {
				v.put(in)
				return start, errLate
			}
		}
		budget, timed := c.budget(to-from, allowed)
		err := st.chunk(in, r, f, span{from, to, budget})
		end := time.Now()
		v.counters.fuel.Add(in.spent)
		if err == nil {
			c.observe(to-from, in.spent, Period{Start: start, Allowed: allowed}, end)
			spent += in.spent
			start = end
			continue
		}
		if errors.Is(err, errFuel) {
			err = c.dry(dryCall{Period{start, allowed, p.Whole}, to, in.spent, spent + budget, timed}, end)
		}
		var code guestError
		if errors.As(err, &code) {
			v.put(in) // it said no, and is well
		} else {
			v.discard(in)
		}
		return end, err
	}
	v.put(in)
	st.commit(r, f)
	return start, nil
}

// commit makes the results of a batch those of the request.
func (st *Stage) commit(r *Scratch, f *frame.Frame) {
	switch st.kind {
	case abi.Feature:
		for _, slot := range st.writes {
			r.filled[slot] = true
		}
	case abi.Scorer:
		scores, results := f.Scores[:len(f.Mask)], r.scores[:len(f.Mask)]
		for i, keep := range f.Mask {
			if keep {
				scores[i] = results[i]
			}
		}
	case abi.Filter:
		copy(f.Mask, r.mask)
	}
}

// fault counts a failed call, or an instance that could not be made, and says it
// in the log: the first faults and each quarantine, at a bounded rate.
func (v *Version) fault(stage string, err error) {
	v.counters.faults.Add(1)
	tripped, wait := false, time.Duration(0)
	if errors.Is(err, errOverran) { // once is too often
		tripped, wait = true, v.breaker.Exclude(err.Error())
	} else {
		tripped, wait = v.breaker.Failed(err.Error())
	}
	if tripped {
		v.counters.quarantines.Add(1)
		v.spec.Log.Warn("plugin in quarantine", keyPlugin, v.manifest.Name, keyStage, stage,
			logkey.Reason, err.Error(), keyWait, wait.String())
		return
	}
	if v.faults.allow(v.breaker.Now()) {
		v.spec.Log.Warn("plugin failed", keyPlugin, v.manifest.Name, keyStage, stage, logkey.Reason, err.Error())
	}
}
