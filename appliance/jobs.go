package appliance

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

// jobs runs one piece of long work at a time and remembers the last ones.
type jobs struct {
	mu      sync.Mutex
	next    int
	list    []*adminapi.Job
	running bool
	wg      sync.WaitGroup
	now     func() time.Time
}

// start runs w in the background under ctx. A second job while one runs is
// refused: it would only make both slower.
func (j *jobs) start(ctx context.Context, kind adminapi.JobKind, w work) (adminapi.Job, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.running {
		return adminapi.Job{}, &httpapi.Problem{
			Status: http.StatusConflict, Code: "job_running",
			Detail: "another job is running: " + j.list[len(j.list)-1].ID, Hint: "wait for it to end, then try again",
		}
	}
	j.next++
	now := j.now().UTC()
	job := &adminapi.Job{ID: fmt.Sprintf("%s-%d", kind, j.next), Kind: kind, State: adminapi.Running, CreatedAt: now, StartedAt: &now}
	j.list = append(j.list, job)
	if len(j.list) > keptJobs {
		j.list = slices.Delete(j.list, 0, len(j.list)-keptJobs)
	}
	j.running = true
	j.wg.Go(func() { j.run(ctx, job, w) })
	return *job, nil
}

func (j *jobs) run(ctx context.Context, job *adminapi.Job, w work) {
	report, verdict, err := w(ctx, func(p adminapi.JobProgress) {
		j.mu.Lock()
		job.Progress = &p
		j.mu.Unlock()
	})
	j.mu.Lock()
	defer j.mu.Unlock()
	now := j.now().UTC()
	job.FinishedAt, job.Report, job.Verdict = &now, report, verdict
	job.State = adminapi.Done
	if err != nil {
		job.State, job.Error = adminapi.Failed, err.Error()
	}
	j.running = false
}

// get is a copy of the job's present state.
func (j *jobs) get(id string) (adminapi.Job, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, job := range j.list {
		if job.ID == id {
			return *job, nil
		}
	}
	return adminapi.Job{}, httpapi.ErrNotFound
}

// all are copies of those that are remembered, newest first.
func (j *jobs) all() []adminapi.Job {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := make([]adminapi.Job, 0, len(j.list))
	for _, job := range slices.Backward(j.list) {
		out = append(out, *job)
	}
	return out
}

// wait returns when no job runs.
func (j *jobs) wait() { j.wg.Wait() }
