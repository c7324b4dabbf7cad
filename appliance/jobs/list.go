package jobs

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"vitrine/appliance/httpapi"
	"vitrine/appliance/httpapi/adminapi"
)

// keptJobs bounds the history of jobs.
const keptJobs = 50

// work is what a job does. It tells progress, and fills the job's report and
// verdict.
type work func(ctx context.Context, tell func(adminapi.JobProgress)) (*adminapi.TrainReport, *adminapi.Verdict, error)

// list runs one piece of long work at a time and remembers the last ones.
type list struct {
	mu      sync.Mutex
	next    int
	jobs    []*adminapi.Job
	running bool
	wg      sync.WaitGroup
	now     func() time.Time
}

// start runs w in the background under ctx. A second job while one runs is
// refused: it would only make both slower.
func (l *list) start(ctx context.Context, kind adminapi.JobKind, w work) (adminapi.Job, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running {
		return adminapi.Job{}, &httpapi.Problem{
			Status: http.StatusConflict, Code: "job_running",
			Detail: "another job is running: " + l.jobs[len(l.jobs)-1].ID, Hint: "wait for it to end, then try again",
		}
	}
	l.next++
	now := l.now().UTC()
	job := &adminapi.Job{ID: fmt.Sprintf("%s-%d", kind, l.next), Kind: kind, State: adminapi.Running, CreatedAt: now, StartedAt: &now}
	l.jobs = append(l.jobs, job)
	if len(l.jobs) > keptJobs {
		l.jobs = slices.Delete(l.jobs, 0, len(l.jobs)-keptJobs)
	}
	l.running = true
	l.wg.Go(func() { l.run(ctx, job, w) })
	return *job, nil
}

func (l *list) run(ctx context.Context, job *adminapi.Job, w work) {
	report, verdict, err := w(ctx, func(p adminapi.JobProgress) {
		l.mu.Lock()
		job.Progress = &p
		l.mu.Unlock()
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now().UTC()
	job.FinishedAt, job.Report, job.Verdict = &now, report, verdict
	job.State = adminapi.Done
	if err != nil {
		job.State, job.Error = adminapi.Failed, err.Error()
	}
	l.running = false
}

// get is a copy of the job's present state.
func (l *list) get(id string) (adminapi.Job, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, job := range l.jobs {
		if job.ID == id {
			return *job, nil
		}
	}
	return adminapi.Job{}, httpapi.ErrNotFound
}

// all are copies of those that are remembered, newest first.
func (l *list) all() []adminapi.Job {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]adminapi.Job, 0, len(l.jobs))
	for _, job := range slices.Backward(l.jobs) {
		out = append(out, *job)
	}
	return out
}

// wait returns when no job runs.
func (l *list) wait() { l.wg.Wait() }
