// Package training is what the child processes of the training benchmark do:
// solve a generated matrix, write one as an archive, train on an archive as the
// appliance does; each takes a job as JSON and answers with a result. The
// measure of memory bandwidth that they are held against is here too.
//
// It owns the jobs and their results. It may import als, appliance/bench/gen
// and appliance/trainer; it must not know figures, bars and reports.
package training

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"vitrine/als"
	"vitrine/als/dataset"
	"vitrine/als/model"
	"vitrine/appliance/bench/gen"
	"vitrine/appliance/trainer"
)

// SolveJob is what a solver child does: it makes the data, or reads an archive,
// and trains on it.
type SolveJob struct {
	Shape gen.Shape `json:"shape"`
	// Archive, when set, is trained on instead.
	Archive    *trainer.Job `json:"archive,omitempty"`
	Rank       int          `json:"rank"`
	Iterations int          `json:"iterations"`
}

// SolveResult is what it answers.
type SolveResult struct {
	Users int `json:"users"`
	Items int `json:"items"`
	Cells int `json:"cells"`
	// CPU and Wall are the solver's seconds, from the matrix to the model.
	CPU  float64 `json:"cpu"`
	Wall float64 `json:"wall"`
	// IterationCPU and IterationWall are the seconds of one iteration, without
	// the first, which prepares, and the last, whose users are solved exactly.
	IterationCPU  float64 `json:"iteration_cpu"`
	IterationWall float64 `json:"iteration_wall"`
	// PeakMiB is the most memory that the process had, the making of the data
	// included.
	PeakMiB float64 `json:"peak_mib"`
	// Fault says what is wrong with the model, "" when nothing is.
	Fault string `json:"fault,omitempty"`
}

// NsPerVisit is processor time per cell, side and iteration.
func (t *SolveResult) NsPerVisit(iterations int) float64 {
	return t.CPU * 1e9 / (2 * float64(iterations) * float64(t.Cells))
}

// Solve generates, trains and checks.
func Solve(ctx context.Context, in io.Reader, out io.Writer) error {
	var job SolveJob
	if err := json.NewDecoder(in).Decode(&job); err != nil {
		return fmt.Errorf("decode training job: %w", err)
	}
	data, err := job.data(ctx)
	if err != nil {
		return err
	}
	debug.FreeOSMemory() // what made the data must not weigh on the training
	var marks []mark
	begun := now()
	m, _, err := als.Train(ctx, data, als.Options{
		Rank: job.Rank, Iterations: job.Iterations, Seed: job.Shape.Seed,
		Progress: func(als.Progress) { marks = append(marks, now()) },
	})
	if err != nil {
		return err
	}
	all := begun.until(now())
	result := SolveResult{Users: data.Rows, Items: data.Cols, Cells: data.NNZ(), Wall: all.wall, CPU: all.cpu, PeakMiB: peakMiB(), Fault: Fault(m, data)}
	if n := len(marks) - 2; n > 0 {
		took := marks[0].until(marks[n])
		result.IterationCPU, result.IterationWall = took.cpu/float64(n), took.wall/float64(n)
	}
	return answer(out, result)
}

func (job *SolveJob) data(ctx context.Context) (*dataset.CSR, error) {
	if job.Archive != nil {
		return trainer.Matrix(ctx, *job.Archive)
	}
	return gen.Matrix(ctx, job.Shape)
}

// mark is a moment.
type mark struct {
	cpu  time.Duration
	wall time.Time
}

func now() mark { return mark{cpuTime(), time.Now()} }

// span is what lies between two moments, in seconds.
type span struct{ cpu, wall float64 }

func (m mark) until(later mark) span {
	return span{(later.cpu - m.cpu).Seconds(), later.wall.Sub(m.wall).Seconds()}
}

// cpuTime is what this process has used of the processors.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peakMiB is not asked of getrusage, whose figure is the parent's where that is
// larger.
func peakMiB() float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kib, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, _ := strconv.ParseFloat(kib, 64)
	return n / 1024
}

func answer(out io.Writer, result any) error {
	if err := json.NewEncoder(out).Encode(result); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return nil
}

// ArchiveJob is what a generating child does.
type ArchiveJob struct {
	Dir   string    `json:"dir"`
	Shape gen.Shape `json:"shape"`
	// Text makes ids of 12 bytes instead of whole numbers.
	Text bool `json:"text"`
}

// ArchiveResult is what it answers.
type ArchiveResult struct {
	Rows    int     `json:"rows"`
	Seconds float64 `json:"seconds"`
}

// WriteArchive writes generated data as an archive.
func WriteArchive(ctx context.Context, in io.Reader, out io.Writer) error {
	var job ArchiveJob
	if err := json.NewDecoder(in).Decode(&job); err != nil {
		return fmt.Errorf("decode archive job: %w", err)
	}
	start := time.Now()
	rows, err := gen.Archive(ctx, job.Dir, job.Shape, job.Text)
	if err != nil {
		return err
	}
	return answer(out, ArchiveResult{Rows: rows, Seconds: time.Since(start).Seconds()})
}

// PublishResult is what a training child answers.
type PublishResult struct {
	Result trainer.Result `json:"result"`
	// CPU is the processor time of each stage in seconds, "total" of all.
	CPU map[string]float64 `json:"cpu"`
	// PeakMiB is the most memory that the process had.
	PeakMiB float64 `json:"peak_mib"`
}

// Publish is the appliance's training process, with its own times beside
// the result.
func Publish(ctx context.Context, in io.Reader, out io.Writer) error {
	var job trainer.Job
	if err := json.NewDecoder(in).Decode(&job); err != nil {
		return fmt.Errorf("decode training job: %w", err)
	}
	used, stage, begun := map[string]float64{}, "read", time.Duration(0)
	result, err := trainer.RunAlone(ctx, job, func(p trainer.Progress) {
		at := cpuTime()
		used[stage] += (at - begun).Seconds()
		stage, begun = p.Stage, at
	})
	if err != nil {
		return err
	}
	at := cpuTime()
	used[stage] += (at - begun).Seconds()
	used["total"] = at.Seconds()
	return answer(out, PublishResult{Result: *result, CPU: used, PeakMiB: peakMiB()})
}

const (
	// judged pairs of an item that a user had and one at random; a model that
	// has learned something puts the first before the second nearly always, a
	// random one half the time.
	judged      = 10_000
	judgedLeast = 0.7
)

// Fault says what is wrong with a model of data: one that has learned nothing
// was not worth its time.
func Fault(m *model.Model, data *dataset.CSR) string {
	if err := m.Check(); err != nil {
		return err.Error()
	}
	rng := rand.New(rand.NewPCG(7, 7))
	score := func(u, i int) float32 {
		return als.ReferenceDot(m.Users[u*m.Rank:(u+1)*m.Rank], m.Items[i*m.Rank:(i+1)*m.Rank])
	}
	pairs, right := 0, 0
	for range judged {
		u := rng.IntN(data.Rows)
		items, _ := data.Row(u)
		other := rng.IntN(data.Cols)
		if _, had := slices.BinarySearch(items, uint32(other)); had || len(items) == 0 {
			continue
		}
		pairs++
		if score(u, int(items[rng.IntN(len(items))])) > score(u, other) {
			right++
		}
	}
	if share := float64(right) / float64(pairs); !(share >= judgedLeast) {
		return fmt.Sprintf("it prefers what a user had to another item in %.0f %% of the cases only", 100*share)
	}
	return ""
}
