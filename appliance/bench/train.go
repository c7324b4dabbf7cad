package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"syscall"
	"time"

	"vitrine/als"
	"vitrine/als/dataset"
	"vitrine/als/model"
	"vitrine/appliance/bench/report"
)

// The article's size, and the promise about it.
const (
	fullCells       = 100_000_000
	fullUsers       = 1_000_000
	fullItems       = 200_000
	trainIterations = 16
	trainWant       = 30 * 60 // seconds
)

const (
	// quickCells is the default size, where quickSeconds of wall time for one
	// repetition are enough for it.
	quickCells   = 10_000_000
	quickSeconds = 16.0
	// trialCells tell how quick the machine is.
	trialCells = 1_000_000
)

// trainJob is what a training child does.
type trainJob struct {
	Users      int    `json:"users"`
	Items      int    `json:"items"`
	Cells      int    `json:"cells"`
	Iterations int    `json:"iterations"`
	Seed       uint64 `json:"seed"`
}

// trainResult is what it answers.
type trainResult struct {
	Cells int `json:"cells"`
	// CPU and Wall are the solver's seconds, from the matrix to the model.
	CPU  float64 `json:"cpu"`
	Wall float64 `json:"wall"`
	// Fault says what is wrong with the model, "" when nothing is.
	Fault string `json:"fault,omitempty"`
}

// nsPerVisit is processor time per cell, side and iteration.
func (t *trainResult) nsPerVisit(iterations int) float64 {
	return t.CPU * 1e9 / (2 * float64(iterations) * float64(t.Cells))
}

// sized is a job like the article's with fewer cells.
func sized(cells int) trainJob {
	share := float64(cells) / fullCells
	return trainJob{
		Users: max(1, int(share*fullUsers)), Items: max(1, int(share*fullItems)), Cells: cells,
		Iterations: trainIterations, Seed: 1,
	}
}

// train measures the solver on generated data, each time in a child process of
// its own so that its memory can be told.
func (r *run) train(ctx context.Context) (*report.Part, error) {
	if r.opt.ChildCommand == nil {
		return nil, fmt.Errorf("%w: there is no command for the training child", ErrPart)
	}
	command := r.opt.ChildCommand(ChildTrain)
	cells := fullCells
	if !r.opt.Full {
		r.opt.Progress("train.trial", 0, 1)
		var trial trainResult
		if _, err := call(ctx, command, sized(trialCells), &trial); err != nil {
			return nil, err
		}
		possible := quickSeconds / trial.Wall * float64(trial.Cells)
		cells = min(quickCells, max(trialCells, round125(possible)))
	}
	job := sized(cells)
	fmt.Fprintf(r.data, "train %+v\n", job)
	got := samples{}
	name := "train." + short(cells) + "."
	var last trainResult
	for rep := range r.repetitions {
		r.opt.Progress("train."+short(cells), int64(rep), int64(r.repetitions))
		got.add("dot", dotKernel())
		last = trainResult{}
		peak, err := call(ctx, command, job, &last)
		if err != nil {
			return nil, err
		}
		if last.Fault != "" {
			r.invalidate("the trained model is wrong: %s", last.Fault)
		}
		got.add(name+"solver_cpu", last.CPU)
		got.add(name+"solver_wall", last.Wall)
		got.add(name+"per_visit", last.nsPerVisit(job.Iterations))
		got.add(name+"peak_rss", peak)
	}
	return r.trainPart(job, last.Cells, got), nil
}

// trainPart makes the figures and the verdict.
func (r *run) trainPart(job trainJob, cells int, got samples) *report.Part {
	name := "train." + short(job.Cells) + "."
	dot := report.Median(got["dot"])
	cpu, wall, memory := got.figure(name+"solver_cpu", "s", report.Lower), got.figure(name+"solver_wall", "s", report.Lower), got.figure(name+"peak_rss", "MiB", report.Lower)
	if job.Cells == fullCells {
		cpu, memory = cpu.WithBar(150), memory.WithBar(3.5*1024)
	}
	part := &report.Part{
		Reference: dotReference(got["dot"]),
		Notes: []string{fmt.Sprintf("%d users, %d items, %d cells, rank %d, %d iterations, in memory; generated",
			job.Users, job.Items, cells, rank, job.Iterations)},
		Figures: []report.Figure{
			cpu, wall,
			got.figure(name+"per_visit", "ns", report.Lower).Against(dot).WithBar(41),
			memory,
		},
	}
	seconds := wall.Value
	how := fmt.Sprintf("measured: %d cells, 1M x 200k, rank %d, %d iterations, solver only, from memory", cells, rank, job.Iterations)
	if job.Cells != fullCells {
		// Users and items grow with the cells, so all work does alike.
		factor := fullCells / float64(cells)
		seconds *= factor
		how = fmt.Sprintf("EXTRAPOLATED, not measured: %.1f s for %d cells times %.1f; larger factors miss the caches more often, so expect more. --full measures it", wall.Value, cells, factor)
		extrapolated := func(what string, f report.Figure) report.Figure {
			f = report.New("train.100M_extrapolated."+what, f.Unit, report.Lower, f.Spread[0]*factor, f.Value*factor, f.Spread[1]*factor)
			return f
		}
		part.Figures = append(part.Figures, extrapolated("solver_cpu", cpu), extrapolated("solver_wall", wall))
		part.Notes = append(part.Notes, "100M_extrapolated is a calculation, not a measurement")
	}
	verdict := report.Judge("training", trainWant, seconds, "s", report.Lower)
	verdict.How = how
	r.report.Verdict = append(r.report.Verdict, verdict)
	return part
}

// trainChild generates, trains and checks.
func trainChild(ctx context.Context, in io.Reader, out io.Writer) error {
	var job trainJob
	if err := json.NewDecoder(in).Decode(&job); err != nil {
		return fmt.Errorf("decode training job: %w", err)
	}
	data := interactions(job)
	cpu, start := usage(syscall.RUSAGE_SELF), time.Now()
	m, _, err := als.Train(ctx, data, als.Options{Rank: rank, Iterations: job.Iterations, Seed: job.Seed})
	if err != nil {
		return err
	}
	result := trainResult{
		Cells: data.NNZ(), Wall: time.Since(start).Seconds(), CPU: (usage(syscall.RUSAGE_SELF) - cpu).Seconds(),
		Fault: fault(m, data),
	}
	if err := json.NewEncoder(out).Encode(result); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return nil
}

const (
	// judged pairs of an item that a user had and one at random; a model that
	// has learned something puts the first before the second nearly always, a
	// random one half the time.
	judged      = 10_000
	judgedLeast = 0.7
)

// fault says what is wrong with a model of data: one that has learned nothing
// was not worth its time.
func fault(m *model.Model, data *dataset.CSR) string {
	if err := m.Check(); err != nil {
		return err.Error()
	}
	rng := rand.New(rand.NewPCG(7, 7))
	score := func(u, i int) float32 {
		return als.ReferenceDot(m.Users[u*rank:(u+1)*rank], m.Items[i*rank:(i+1)*rank])
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

// interactions generates a matrix like a shop's: users of very different
// diligence who mostly stay with the tastes of their group, and items of
// skewed popularity. Rows are made one by one, so that 100M cells need no more
// memory than they take.
func interactions(job trainJob) *dataset.CSR {
	const (
		groups = 50
		own    = 0.7 // share of a user's items that are his group's
	)
	m := &dataset.CSR{Rows: job.Users, Cols: job.Items, Indptr: make([]int64, job.Users+1)}
	m.Indices = make([]uint32, 0, job.Cells+job.Cells/16)
	mean := float64(job.Cells) / float64(job.Users)
	rng := rand.New(rand.NewPCG(job.Seed, 3))
	// Scatter popular items over the rows: ids say nothing about popularity.
	place := rng.Perm(job.Items)
	row := make([]uint32, 0, 4096)
	for u := range job.Users {
		row = row[:0]
		// A log-normal number of items, of the wanted mean.
		const sigma = 0.8
		want := int(math.Round(mean * math.Exp(sigma*rng.NormFloat64()-sigma*sigma/2)))
		want = min(max(want, 1), job.Items/4+1)
		// Repeats are dropped and others drawn, but not for ever: a user who
		// wants most of the catalogue gets less.
		for draws := 0; draws < 8 && len(row) < want; draws++ {
			for missing := want - len(row); missing > 0; missing-- {
				x := rng.Float64()
				at := int(float64(job.Items) * x * x * x) // density falls as x^(-2/3)
				if rng.Float64() < own {
					at = at/groups*groups + u%groups
				}
				row = append(row, uint32(place[min(at, job.Items-1)]))
			}
			slices.Sort(row)
			row = slices.Compact(row)
		}
		m.Indices = append(m.Indices, row...)
		m.Indptr[u+1] = int64(len(m.Indices))
	}
	m.Weights = make([]float32, len(m.Indices))
	for i := range m.Weights {
		m.Weights[i] = 1 + float32(rng.IntN(4))
	}
	runtime.GC() // what made the data must not weigh on the training
	return m
}
