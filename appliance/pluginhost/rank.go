package pluginhost

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"vitrine/appliance/frame"
	"vitrine/appliance/pluginhost/sandbox"
	"vitrine/sdk/abi"
)

// denied is the status of a call that dropped every candidate; the others are
// those of package sandbox.
const denied = "denied"

// version is a sandboxed module as the folder knows it.
type version struct {
	*sandbox.Version
	file   string
	digest string // of the file
	toml   []byte
	side   *sidecar
	// refs counts the pipelines that use this version.
	refs atomic.Int64
}

// uses says whether the version does that kind and the operator lets it.
func (v *version) uses(k abi.Kind) bool {
	return v.Manifest().Has(k) && v.side.allows(k)
}

// callBudget is what the operator allows one call of it.
func (v *version) callBudget(limit time.Duration) time.Duration {
	if v.side.budget > 0 {
		return v.side.budget
	}
	return limit
}

// step is one kind of one plugin. Without a version it only denies.
type step struct {
	version *version
	stage   *sandbox.Stage
	call    frame.Call // name, version and stage as the trace shows them
}

// pipeline is every step of the active plugins, in order. It is immutable; a
// change of the plugins makes another one.
type pipeline struct {
	steps    []step
	versions []*version
	slots    int
	// refs counts the requests in it. Once it is retired and empty, versions
	// that no other pipeline uses are closed.
	refs    atomic.Int64
	retired atomic.Bool
	once    sync.Once
	closed  func(*version)
}

// binding is a plugin's place in the order: a version, or a name that denies
// while it has none.
type binding struct {
	version *version
	name    string
}

// newPipeline orders the steps: features, then scorers, then filters, each in
// the order of the bindings.
func newPipeline(bindings []binding, closed func(*version)) *pipeline {
	p := &pipeline{closed: closed}
	slots := map[abi.Column]int{}
	for _, b := range bindings {
		if b.version == nil {
			continue
		}
		p.versions = append(p.versions, b.version)
		b.version.refs.Add(1)
		if b.version.uses(abi.Feature) {
			for _, c := range b.version.Manifest().Writes {
				slots[c] = len(slots)
			}
		}
	}
	p.slots = len(slots)
	for k := abi.Feature; k <= abi.Filter; k++ {
		for _, b := range bindings {
			switch v := b.version; {
			case v != nil && v.uses(k):
				m := v.Manifest()
				p.steps = append(p.steps, step{
					v, sandbox.NewStage(v.Version, k, slots),
					frame.Call{Name: m.Name, Version: m.Version, Stage: k.String()},
				})
			case v == nil && k == abi.Filter:
				p.steps = append(p.steps, step{call: frame.Call{Name: b.name, Stage: k.String()}})
			}
		}
	}
	return p
}

// release ends a request's use of the pipeline.
func (p *pipeline) release() {
	if p.refs.Add(-1) == 0 && p.retired.Load() {
		p.close()
	}
}

// retire is called once another pipeline has taken the place of this one.
func (p *pipeline) retire() {
	p.retired.Store(true)
	if p.refs.Load() == 0 {
		p.close()
	}
}

func (p *pipeline) close() {
	p.once.Do(func() {
		for _, v := range p.versions {
			if v.refs.Add(-1) == 0 {
				p.closed(v)
			}
		}
	})
}

// acquire gives the live pipeline, held until release. A pipeline whose count
// was raised only after it had been replaced is not used.
func (h *Host) acquire() *pipeline {
	for {
		p := h.live.Load()
		p.refs.Add(1)
		if h.live.Load() == p {
			return p
		}
		p.release()
	}
}

// Depth is how many candidates the active plugins want to see; 0 when no
// plugin is active.
func (h *Host) Depth() int {
	if len(h.live.Load().steps) == 0 {
		return 0
	}
	return h.opt.Depth
}

// Rank runs the active plugins over a frame: features, scorers and filters,
// each in file-name order. Scores are changed in place and dropped candidates
// lose their mask. It never fails: a plugin in trouble leaves the ranking as
// it was, or drops every candidate where its operator said so, and the trace
// says what happened. The budget ends no later than ctx does.
func (h *Host) Rank(ctx context.Context, f *frame.Frame, t *frame.Trace) {
	p := h.acquire()
	defer p.release()
	if len(p.steps) == 0 || f.Len() == 0 {
		return
	}
	r := h.scratch.Get().(*sandbox.Scratch)
	defer h.scratch.Put(r)
	r.Prepare(f.Len(), p.slots)
	now := time.Now()
	end := now.Add(h.opt.RequestBudget)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(end) {
		end = deadline
	}
	for i := range p.steps {
		st := &p.steps[i]
		status, after := h.runStep(st, r, f, sandbox.Period{Start: now, Allowed: end.Sub(now)})
		call := st.call
		call.Status, call.Micros = status, after.Sub(now).Microseconds()
		t.Calls = append(t.Calls, call)
		if t.Watch != nil {
			t.Watch(&t.Calls[len(t.Calls)-1], f)
		}
		if status == denied {
			return
		}
		now = after
	}
}

// runStep runs one plugin and says what became of it and when it ended.
func (h *Host) runStep(st *step, r *sandbox.Scratch, f *frame.Frame, p sandbox.Period) (string, time.Time) {
	v := st.version
	if v == nil {
		clear(f.Mask)
		return denied, p.Start
	}
	p.Whole = v.callBudget(h.opt.CallBudget)
	p.Allowed = min(p.Allowed, p.Whole)
	status, end := st.stage.Run(r, f, p)
	if status != sandbox.OK && v.side.deny() {
		clear(f.Mask)
		v.Counters().Denied.Add(1)
		return denied, end
	}
	return string(status), end
}
