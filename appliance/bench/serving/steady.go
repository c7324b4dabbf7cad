package serving

import (
	"context"
	"errors"
	"net/http"
	"time"

	"vitrine/appliance/bench/load"
	"vitrine/appliance/bench/report"
	"vitrine/appliance/client"
)

// Bars of the times from the moment a request was due, in ms.
const (
	barSteadyP99   = 10
	barSteadyP999  = 50
	barTrainingP99 = 30
)

// attempts a run has: on a shared machine one may meet somebody else's work.
const attempts = 3

// trainingMost bounds the wait for a training.
const trainingMost = 5 * time.Minute

// form tells an answer that is right beside events, which change what is in it.
func form(a load.Answer) bool { return a.Status == http.StatusOK && full(a.Body) }

// beside sends events all the time that do takes.
func (s *Shop) beside(ctx context.Context, do func() error) (*load.Result, error) {
	until, ended := make(chan struct{}), make(chan error, 1)
	var events *load.Result
	go func() {
		var err error
		events, err = load.Run(ctx, load.Options{
			Address: s.Address, Requests: s.posts(), Rate: eventRate, Duration: trainingMost, Until: until, Workers: 1,
			Judge: func(a load.Answer) bool { return a.Status == http.StatusAccepted },
		})
		ended <- err
	}()
	err := do()
	close(until)
	return events, errors.Join(err, <-ended)
}

// open offers the promised rate until a time or, where until is given, until
// that is closed. A run that the generator has spoilt is made again, if it can
// be.
func (b *Bench) open(ctx context.Context, s *Shop, until <-chan struct{}) (*load.Result, error) {
	opt := load.Options{
		Address: s.Address, Requests: Gets(s.Address, s.paths("")), Judge: form,
		Rate: steadyRate, Warmup: b.Rhythm.Warmup, Duration: b.Rhythm.Open, Until: until,
	}
	if until != nil {
		opt.Duration = trainingMost
	}
	return load.Run(ctx, opt)
}

// Steady offers the promised rate beside events.
func (b *Bench) Steady(ctx context.Context, s *Shop) error {
	b.Progress("serve.steady", 0, 0)
	var r *load.Result
	var events *load.Result
	for attempt := range attempts {
		var err error
		events, err = s.beside(ctx, func() (err error) {
			r, err = b.open(ctx, s, nil)
			return err
		})
		if err != nil {
			return err
		}
		late := r.Late()
		if late == "" || report.Milliseconds(r.Response(0.99)) <= barSteadyP99 {
			break
		}
		if attempt < attempts-1 {
			b.Warn("steady: a run was made again: %s", late)
		}
	}
	b.times("serve.steady.", r, events)
	return nil
}

// Training offers the promised rate beside events while a model is trained.
func (b *Bench) Training(ctx context.Context, s *Shop) error {
	b.Progress("serve.training", 0, 0)
	var r *load.Result
	took := time.Duration(0)
	events, err := s.beside(ctx, func() error {
		until, ended := make(chan struct{}), make(chan error, 1)
		go func() {
			var err error
			r, err = b.open(ctx, s, until)
			ended <- err
		}()
		begin := time.Now()
		_, err := Train(ctx, s.API, func(string, int64, int64) {})
		took = time.Since(begin)
		close(until)
		return errors.Join(err, <-ended)
	})
	if err != nil {
		return err
	}
	b.times("serve.training.", r, events)
	b.add(report.New("serve.training.took", "s", "", took.Seconds()))
	return nil
}

// Train trains once, whatever the verdict on the model, and tells how far it is.
func Train(ctx context.Context, api *client.Client, tell func(stage string, done, total int64)) (*client.Job, error) {
	job, err := api.StartJob(ctx, client.JobRequest{Kind: client.Train})
	if err != nil {
		return nil, err
	}
	const poll = 50 * time.Millisecond
	job, err = api.WaitJob(ctx, job.ID, poll, func(j *client.Job) {
		if p := j.Progress; p != nil {
			tell(p.Stage, p.Done, p.Total)
		}
	})
	if err == nil && job.State == client.Failed {
		err = errors.New(job.Error)
	}
	return job, err
}

// times are the figures of an open loop.
func (b *Bench) times(name string, r, events *load.Result) {
	p99 := float64(barSteadyP99)
	if name == "serve.training." {
		p99 = barTrainingP99
	}
	if late := r.Late(); late != "" {
		b.Warn("%s %s", name, late)
	}
	wrong := r.Wrong + r.Refused + r.Failed + r.Unsent
	if wrong > 0 {
		b.Warn("%s of %d requests %d got no live list or were never sent: %s", name, r.Requests, wrong, r.FirstFault)
	}
	b.add(report.New(name+"p50", "ms", report.Lower, report.Milliseconds(r.Response(0.5))))
	b.add(report.New(name+"p99", "ms", report.Lower, report.Milliseconds(r.Response(0.99))).WithBar(p99))
	b.add(report.New(name+"p99_less_lag", "ms", report.Lower, report.Milliseconds(r.LessLag(0.99))))
	tail := report.New(name+"p99_9", "ms", report.Lower, report.Milliseconds(r.Response(0.999)))
	if name == "serve.steady." {
		tail = tail.WithBar(barSteadyP999)
	}
	b.add(tail)
	b.add(report.New(name+"generator_lag_p99", "ms", report.Lower, report.Milliseconds(r.Lag(0.99))))
	b.add(report.New(name+"errors", "", report.Lower, float64(wrong)).WithBar(0))
	b.add(report.New(name+"events", "1/s", report.Higher, events.Achieved))
	b.add(report.New(name+"events_p99", "ms", report.Lower, report.Milliseconds(events.Response(0.99))))
	b.add(report.New(name+"events_failed", "", report.Lower, float64(events.Wrong+events.Failed)).WithBar(0))
}
