package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"vitrine/als/neighbors/tables"
	"vitrine/appliance/bench/gen"
	"vitrine/appliance/bench/machine"
	"vitrine/appliance/bench/process"
	"vitrine/appliance/bench/report"
	"vitrine/appliance/bench/training"
	"vitrine/appliance/registry"
	"vitrine/appliance/trainer"
)

const (
	trainIterations = 16
	trainWant       = 30 * 60 // seconds, the promise about the article's size
	quickCells      = 1_000_000
)

// trainSizes are the numbers of interactions that are trained on; cost is to
// grow with them and no faster.
func (r *run) trainSizes() []int {
	if r.opt.Full {
		return []int{quickCells, 10 * quickCells, gen.FullCells}
	}
	return []int{quickCells}
}

// train measures the solver on generated data in memory, and the whole way from
// the archive's files to a published model; each in a child process of its
// own, so that its memory can be told.
func (r *run) train(ctx context.Context) (*report.Part, error) {
	if r.opt.ChildCommand == nil {
		return nil, fmt.Errorf("%w: there is no command for the training child", ErrPart)
	}
	t := &trainPart{run: r, got: report.Samples{}}
	t.got.Add("dot", machine.DotKernel())
	t.got.Add("stream", training.StreamBandwidth())
	if r.own != nil {
		return t.own(ctx)
	}
	for _, cells := range r.trainSizes() {
		if err := t.measure(ctx, cells); err != nil {
			return nil, err
		}
	}
	return t.part(), nil
}

// trainPart is the part in the making.
type trainPart struct {
	*run
	got   report.Samples
	sizes []trained
	// refusal is why the gate refused a model of an archive, "" where it did not.
	refusal string
}

// trained is what is known of one size beside its samples.
type trained struct {
	shape gen.Shape
	// archive is what is trained on instead of a shape; nil for one.
	archive *trainer.Job
	// cells are those of the generated matrix, rows those of the archive.
	cells, rows int
	// name begins the figures' names.
	name string
}

// measure takes all figures of one size.
func (t *trainPart) measure(ctx context.Context, cells int) error {
	size := trained{shape: gen.Sized(cells), name: "train." + report.Short(cells) + "."}
	fmt.Fprintf(t.data, "train %+v\n", size.shape)
	repetitions := t.repetitions
	if cells == gen.FullCells {
		repetitions = 1 // minutes each; the smaller sizes tell the spread
	}
	dir, err := os.MkdirTemp(t.opt.TempDir, "vitrine-bench-")
	if err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			t.warn("the data folder of the run could not be removed: %v", err)
		}
	}()
	if err := t.solves(ctx, &size, repetitions); err != nil {
		return err
	}
	alone := tables.Weights{tables.PartFactors: 1}
	plain := training.ArchiveJob{Dir: filepath.Join(dir, "numbers"), Shape: size.shape}
	if err := t.generate(ctx, &size, plain); err != nil {
		return err
	}
	for rep := range repetitions {
		t.opt.Progress(size.name+"publish", int64(rep), int64(repetitions))
		if err := t.publish(ctx, &size, "", trainer.Job{ArchiveDir: plain.Dir, Blend: alone}); err != nil {
			return err
		}
	}
	if cells < gen.FullCells {
		t.opt.Progress(size.name+"tables", 0, 1)
		if err := t.publish(ctx, &size, "_blend", trainer.Job{ArchiveDir: plain.Dir}); err != nil {
			return err
		}
		text := training.ArchiveJob{Dir: filepath.Join(dir, "text"), Shape: size.shape, Text: true}
		if err := t.generate(ctx, &size, text); err != nil {
			return err
		}
		if err := t.publish(ctx, &size, "_text", trainer.Job{ArchiveDir: text.Dir, Blend: alone}); err != nil {
			return err
		}
	}
	t.sizes = append(t.sizes, size)
	return nil
}

// solves trains several times, the references beside it.
func (t *trainPart) solves(ctx context.Context, size *trained, repetitions int) (err error) {
	for rep := range repetitions {
		t.opt.Progress(size.name+"solve", int64(rep), int64(repetitions))
		t.got.Add("dot", machine.DotKernel())
		t.got.Add("stream", training.StreamBandwidth())
		if size.cells, err = t.solve(ctx, size); err != nil {
			return err
		}
	}
	return nil
}

// own takes all figures of an archive.
func (t *trainPart) own(ctx context.Context) (*report.Part, error) {
	job, err := t.ownJob()
	if err != nil {
		return nil, err
	}
	size := trained{archive: &job, name: "train." + ownCase + ".", rows: int(t.run.own.Events)}
	if err := t.solves(ctx, &size, t.repetitions); err != nil {
		return nil, err
	}
	alone := job
	alone.Blend = tables.Weights{tables.PartFactors: 1}
	for rep := range t.repetitions {
		t.opt.Progress(size.name+"publish", int64(rep), int64(t.repetitions))
		if err := t.publish(ctx, &size, "", alone); err != nil {
			return nil, err
		}
	}
	t.opt.Progress(size.name+"tables", 0, 1)
	if err := t.publish(ctx, &size, "_blend", job); err != nil {
		return nil, err
	}
	if len(t.got[size.name+"to_published"])+len(t.got[size.name+"to_published_blend"]) == 0 {
		return nil, refused("no model of the archive is published", t.refusal)
	}
	if t.refusal != "" {
		t.note("a model of the archive was refused, and its time to be published is not known: %s", t.refusal)
	}
	t.sizes = append(t.sizes, size)
	return t.part(), nil
}

// solve trains once on a matrix in memory; it returns the cells of the matrix.
func (t *trainPart) solve(ctx context.Context, size *trained) (int, error) {
	var result training.SolveResult
	err := process.Call(ctx, t.opt.ChildCommand(ChildTrain), training.SolveJob{Shape: size.shape, Archive: size.archive, Rank: machine.Rank, Iterations: trainIterations}, &result)
	if err != nil {
		return 0, err
	}
	if result.Fault != "" {
		t.invalidate("the trained model is wrong: %s", result.Fault)
	}
	size.shape.Users, size.shape.Items = result.Users, result.Items
	t.got.Add(size.name+"solver_cpu", result.CPU)
	t.got.Add(size.name+"solver_wall", result.Wall)
	t.got.Add(size.name+"per_visit", result.NsPerVisit(trainIterations))
	return result.Cells, nil
}

// generate writes an archive.
func (t *trainPart) generate(ctx context.Context, size *trained, job training.ArchiveJob) error {
	t.opt.Progress(size.name+"generate", 0, 1)
	var made training.ArchiveResult
	err := process.Call(ctx, t.opt.ChildCommand(ChildArchive), job, &made)
	size.rows = made.Rows
	return err
}

// publish trains once on an archive as the appliance does, and loads the model.
// kind ends the names of what it measures.
func (t *trainPart) publish(ctx context.Context, size *trained, kind string, job trainer.Job) error {
	job.Out, job.Version, job.Rank, job.Iterations = filepath.Join(filepath.Dir(job.ArchiveDir), "model.bundle"), "bench", machine.Rank, trainIterations
	var result training.PublishResult
	start := time.Now()
	if err := process.Call(ctx, t.opt.ChildCommand(ChildPublish), job, &result); err != nil {
		return err
	}
	if !result.Result.Gate.Passed && t.run.own != nil {
		t.refusal = result.Result.Gate.Reason
		return nil
	}
	if !result.Result.Gate.Passed {
		t.invalidate("the model of %s was refused: %s", size.name, result.Result.Gate.Reason)
		return nil
	}
	if _, err := registry.Load(job.Out); err != nil {
		return err
	}
	name := size.name
	t.got.Add(name+"to_published"+kind, time.Since(start).Seconds())
	t.got.Add(name+"to_published_cpu"+kind, result.CPU["total"])
	t.got.Add(name+"peak_rss"+kind, result.PeakMiB)
	t.got.Add(name+"load_rate"+kind, float64(size.rows)/result.Result.Seconds["load"])
	t.got.Add(name+"read_cpu"+kind, result.CPU["read"]*1e9/float64(size.rows))
	for stage, seconds := range result.Result.Seconds {
		t.got.Add(name+"stage"+kind+"."+stage, seconds)
	}
	return nil
}

// part makes the figures and the verdict.
func (t *trainPart) part() *report.Part {
	dot, stream := report.Median(t.got["dot"]), report.Median(t.got["stream"])
	generated, published := ", generated data", "to_published: from Parquet files with whole numbers as ids to a model in the appliance's memory, ALS alone; _blend with the tables beside it, _text with ids of 12 bytes; read_cpu, of a row, is loading, split and weights"
	if t.run.own != nil {
		generated, published = "", "to_published: from the archive's files to a model in the appliance's memory, ALS alone; _blend with the tables beside it; read_cpu, of a row, is loading, split and weights"
	}
	part := &report.Part{
		Reference: machine.DotReference(t.got["dot"]),
		Notes: []string{
			fmt.Sprintf("rank %d, %d iterations%s; per_visit is CPU time per interaction, side and iteration", machine.Rank, trainIterations, generated),
			published,
			"ratios: per_visit and read_cpu to the dot kernel, solver_wall to the memory's floor (see stream), to_published to solver_wall",
		},
		Figures: []report.Figure{t.got.Figure("stream", "MiB/s", report.Higher)},
	}
	part.Figures[0].Name = "train.stream"
	for i := range t.sizes {
		part.Figures = append(part.Figures, t.sized(&t.sizes[i], dot, stream)...)
		part.Notes = append(part.Notes, t.sizes[i].note(t.got))
	}
	first, last := t.sizes[0].name+"per_visit", t.sizes[len(t.sizes)-1].name+"per_visit"
	if first != last {
		growth := report.Median(t.got[last]) / report.Median(t.got[first])
		part.Figures = append(part.Figures, report.New("train.growth.per_visit", "x", report.Lower, growth))
	}
	part.Figures = append(part.Figures, t.verdict(part)...)
	return part
}

// sized are the figures of one size.
func (t *trainPart) sized(size *trained, dot, stream float64) []report.Figure {
	name := size.name
	cpu, wall := t.got.Figure(name+"solver_cpu", "s", report.Lower), t.got.Figure(name+"solver_wall", "s", report.Lower)
	visit := t.got.Figure(name+"per_visit", "ns", report.Lower).Against(dot).WithBar(41)
	// A visit fetches a row in half precision.
	const visitBytes = 2 * machine.Rank
	floor := 2 * trainIterations * float64(size.cells) * visitBytes / (stream * (1 << 20))
	wall = wall.Against(floor)
	if size.shape.Cells == gen.FullCells {
		cpu = cpu.WithBar(150)
	}
	figures := []report.Figure{cpu, wall, visit}
	if len(t.got[name+"to_published"]) == 0 {
		return append(figures, t.beside(name)...) // refused
	}
	published := t.got.Figure(name+"to_published", "s", report.Lower).Against(wall.Value)
	memory := t.got.Figure(name+"peak_rss", "MiB", report.Lower)
	if size.shape.Cells == gen.FullCells {
		published, memory = published.WithBar(150), memory.WithBar(3.5*1024)
	}
	figures = append(figures, published, t.got.Figure(name+"to_published_cpu", "s", report.Lower), memory,
		t.got.Figure(name+"load_rate", "1/s", report.Higher).WithBar(5e6), t.got.Figure(name+"read_cpu", "ns", report.Lower).Against(dot))
	return append(figures, t.beside(name)...)
}

// beside are the figures of what is trained once beside the others.
func (t *trainPart) beside(name string) (figures []report.Figure) {
	for _, what := range []string{"stage_blend.tables", "to_published_blend", "peak_rss_blend", "to_published_text", "load_rate_text"} {
		if len(t.got[name+what]) == 0 {
			continue
		}
		unit, better := "s", report.Lower
		switch what {
		case "peak_rss_blend":
			unit = "MiB"
		case "load_rate_text":
			unit, better = "1/s", report.Higher
		}
		f := t.got.Figure(name+what, unit, better)
		f.Name = strings.Replace(f.Name, "stage_blend.tables", "tables", 1)
		figures = append(figures, f)
	}
	return figures
}

// note says what a size is, and where the time to a published model goes.
func (s *trained) note(got report.Samples) string {
	text := fmt.Sprintf("%s: %d users, %d items, %d cells", strings.TrimSuffix(s.name, "."), s.shape.Users, s.shape.Items, s.cells)
	for _, stage := range []string{"load", "read", "fit", "evaluate", "refit"} {
		if seconds := got[s.name+"stage."+stage]; len(seconds) > 0 {
			text += fmt.Sprintf(", %s %.1f s", stage, report.Median(seconds))
		}
	}
	return text + " (read includes load)"
}

// verdict holds the promise against the largest size, and returns the figures
// that had to be calculated for it.
func (t *trainPart) verdict(part *report.Part) []report.Figure {
	size := &t.sizes[len(t.sizes)-1]
	took := t.got[size.name+"to_published"]
	if blend := t.got[size.name+"to_published_blend"]; t.run.own != nil && len(blend) > 0 {
		took = blend // as the shop itself would
	}
	if len(took) == 0 {
		return nil
	}
	seconds := report.Median(took)
	how := fmt.Sprintf("measured: %d interactions from Parquet files to a published model, rank %d, %d iterations", size.cells, machine.Rank, trainIterations)
	var figures []report.Figure
	switch {
	case t.run.own != nil:
		how = fmt.Sprintf("measured: the archive's %d events, %d interactions, from its files to a published model, rank %d, %d iterations; the promise is about 100 million, which bench train --full measures", size.rows, size.cells, machine.Rank, trainIterations)
	case size.shape.Cells != gen.FullCells:
		// Users and items grow with the cells, so all work does alike.
		factor := gen.FullCells / float64(size.cells)
		how = fmt.Sprintf("EXTRAPOLATED, not measured: %.1f s for %d interactions from Parquet files to a published model, times %.1f; larger factors miss the caches more often, so expect more. --full measures it", seconds, size.cells, factor)
		seconds *= factor
		for _, what := range []string{"solver_cpu", "solver_wall", "to_published"} {
			f := t.got.Figure(size.name+what, "s", report.Lower)
			figures = append(figures, report.New("train.100M_extrapolated."+what, f.Unit, report.Lower, f.Spread[0]*factor, f.Value*factor, f.Spread[1]*factor))
		}
		part.Notes = append(part.Notes, "100M_extrapolated is a calculation, not a measurement")
	}
	v := report.Judge("training", trainWant, seconds, "s", report.Lower)
	v.How = how
	t.report.Verdict = append(t.report.Verdict, v)
	return figures
}
