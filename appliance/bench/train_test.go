package bench

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vitrine/als"
	"vitrine/als/neighbors/tables"
	"vitrine/appliance/bench/gen"
	"vitrine/appliance/bench/machine"
	"vitrine/appliance/bench/process"
	"vitrine/appliance/bench/report"
	"vitrine/appliance/bench/training"
	"vitrine/appliance/trainer"
)

func TestTrainChild(t *testing.T) {
	t.Parallel()
	job := training.SolveJob{Rank: machine.Rank, Shape: gen.Shape{Users: 3000, Items: 2000, Cells: 150_000, Seed: 1}, Iterations: 1}
	var result training.SolveResult
	if err := process.Call(t.Context(), child(ChildTrain), job, &result); err != nil {
		t.Fatal(err)
	}
	if result.Fault != "" || result.CPU <= 0 || result.Wall <= 0 || result.Cells < job.Shape.Cells/2 || result.PeakMiB < 1 {
		t.Errorf("%+v", result)
	}
	if err := process.Call(t.Context(), child(ChildTrain), "no job", &result); err == nil || !strings.Contains(err.Error(), "decode training job") {
		t.Errorf("a broken job: %v", err)
	}
	if err := process.Call(t.Context(), child("other"), job, &result); err == nil || !strings.Contains(err.Error(), "no child process") {
		t.Errorf("an unknown kind: %v", err)
	}
}

// TestTrainingIsMeasuredFromFilesToModel: an archive made small, then all that
// is measured of a size.
func TestTrainingIsMeasuredFromFilesToModel(t *testing.T) {
	t.Parallel()
	r := newRun(Options{ChildCommand: child, TempDir: t.TempDir()})
	r.repetitions = 1
	train := &trainPart{run: r, got: report.Samples{"dot": {5}, "stream": {10_000}}}
	size := trained{shape: gen.Shape{Users: 3000, Items: 2000, Cells: 150_000, Seed: 1}, name: "train.100k."}
	var err error
	if size.cells, err = train.solve(t.Context(), &size); err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(t.TempDir(), "archive")
	if err := train.generate(t.Context(), &size, training.ArchiveJob{Dir: archive, Shape: size.shape}); err != nil {
		t.Fatal(err)
	}
	if size.rows != size.cells {
		t.Errorf("the archive has %d events, the matrix %d cells", size.rows, size.cells)
	}
	alone := trainer.Job{ArchiveDir: archive, Blend: tables.Weights{tables.PartFactors: 1}}
	if err := train.publish(t.Context(), &size, "", alone); err != nil {
		t.Fatal(err)
	}
	train.sizes = []trained{size}
	part := train.part()
	for _, what := range []string{"solver_cpu", "solver_wall", "per_visit", "to_published", "to_published_cpu", "peak_rss", "load_rate", "read_cpu"} {
		if !slices.ContainsFunc(part.Figures, func(f report.Figure) bool { return f.Name == "train.100k."+what && f.Value > 0 }) {
			t.Errorf("no %s in %+v, invalid %q", what, part.Figures, r.report.Invalid)
		}
	}
}

func TestUselessModelIsNoticed(t *testing.T) {
	data, err := gen.Matrix(t.Context(), gen.Shape{Users: 500, Items: 200, Cells: 10_000, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	m, _, err := als.Train(t.Context(), data, als.Options{Rank: machine.Rank, Iterations: 3})
	if err != nil {
		t.Fatal(err)
	}
	if why := training.Fault(m, data); why != "" {
		t.Errorf("a trained model: %s", why)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range m.Users {
		m.Users[i] = float32(rng.NormFloat64())
	}
	if training.Fault(m, data) == "" {
		t.Error("random users are not noticed")
	}
	m.Users[0] = float32(math.NaN())
	if training.Fault(m, data) == "" {
		t.Error("NaN is not noticed")
	}
}

// What is extrapolated must say so, in the figure's name and in the verdict.
func TestExtrapolationIsLabelled(t *testing.T) {
	for cells, want := range map[int]bool{quickCells: true, gen.FullCells: false} {
		r := newRun(Options{})
		size := trained{shape: gen.Sized(cells), cells: cells, name: "train." + report.Short(cells) + "."}
		train := &trainPart{run: r, got: report.Samples{"dot": {5}, "stream": {10_000}}, sizes: []trained{size}}
		for _, what := range []string{"solver_cpu", "solver_wall", "per_visit", "peak_rss", "to_published", "to_published_cpu", "load_rate", "read_cpu"} {
			train.got[size.name+what] = []float64{1, 2, 3}
		}
		part := train.part()
		v := r.report.Verdict[0]
		labelled := slices.ContainsFunc(part.Figures, func(f report.Figure) bool {
			return f.Name == "train.100M_extrapolated.solver_wall" && f.Value == 200 && f.Spread[1] == 300
		})
		if labelled != want || strings.Contains(v.How, "EXTRAPOLATED") != want || (v.Measured == 200) != want || !v.Met {
			t.Errorf("%d cells: %+v, figures %+v", cells, v, part.Figures)
		}
	}
}

func TestCostIsHeldAgainstTheSmallestSize(t *testing.T) {
	train := &trainPart{run: newRun(Options{}), got: report.Samples{"dot": {5}, "stream": {10_000}}}
	for n, cells := range []int{1_000_000, 10_000_000} {
		size := trained{shape: gen.Sized(cells), cells: cells, name: "train." + report.Short(cells) + "."}
		train.sizes = append(train.sizes, size)
		for _, what := range []string{"solver_cpu", "solver_wall", "per_visit"} {
			train.got[size.name+what] = []float64{float64(2 + n)}
		}
	}
	for _, f := range train.part().Figures {
		if f.Name == "train.growth.per_visit" && f.Value == 1.5 {
			return
		}
	}
	t.Error(fmt.Sprint("no growth of 1.5 in ", train.part().Figures))
}
