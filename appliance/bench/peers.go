package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"vitrine/appliance/bench/gen"
	"vitrine/appliance/bench/machine"
	"vitrine/appliance/bench/peers"
	"vitrine/appliance/bench/process"
	"vitrine/appliance/bench/report"
	"vitrine/appliance/bench/retrieval"
	"vitrine/appliance/bench/training"
)

// peerCase is a peer at a rank, and how many times our processor time it is to
// take at least.
type peerCase struct {
	peer             string
	rank, iterations int
	// fits is how often it is measured.
	fits int
	want float64
}

// peerCases are ordered so that what is quick comes first.
func peerCases() []peerCase {
	return []peerCase{
		{peers.Implicit, 64, 4, repetitions, 4.4},
		{peers.Implicit, 128, 4, repetitions, 3.1},
		{peers.Gorse, 64, 2, 1, 24},
		{peers.Spark, 64, 3, 1, 35},
	}
}

// peerIterations of our own: the first and the last are not counted.
const peerIterations = 6

// peerShape is the data of the comparison.
func peerShape() gen.Shape {
	return gen.Shape{Users: 200_000, Items: 50_000, Cells: 10_000_000, Seed: 1}
}

// peers holds training against other implementations on the same data.
func (r *run) peers(ctx context.Context) (*report.Part, error) {
	if r.opt.ChildCommand == nil {
		return nil, fmt.Errorf("%w: there is no command for the training child", ErrPart)
	}
	home, err := peers.Dir()
	if err != nil {
		return nil, err
	}
	return r.peersIn(ctx, home, peerShape())
}

func (r *run) peersIn(ctx context.Context, home string, shape gen.Shape) (*report.Part, error) {
	dir, err := os.MkdirTemp(r.opt.TempDir, "vitrine-bench-")
	if err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			r.warn("the data folder of the run could not be removed: %v", err)
		}
	}()
	fmt.Fprintf(r.data, "peers %+v\n", shape)
	r.opt.Progress("peers.data", 0, 1)
	cells, err := peers.Write(ctx, dir, shape)
	if err != nil {
		return nil, err
	}
	got := samples{"dot": {machine.DotKernel()}}
	part := &report.Part{Notes: []string{fmt.Sprintf(
		"%d users, %d items, %d interactions, the same for all; seconds of one full iteration, both sides; ratio: processor time to ours, taken beside it", shape.Users, shape.Items, cells)}}
	for _, c := range peerCases() {
		figures, err := r.against(ctx, peers.Job{Peer: c.peer, Home: home, Data: dir, Rank: c.rank, Iterations: c.iterations}, c, shape, got)
		if errors.Is(err, peers.ErrAbsent) {
			part.Notes = append(part.Notes, "absent: "+err.Error())
			continue
		}
		if err != nil {
			return nil, err
		}
		part.Figures = append(part.Figures, figures...)
	}
	if err := r.searchPeers(ctx, part, home, dir); err != nil {
		return nil, err
	}
	if len(part.Figures) == 0 {
		return nil, fmt.Errorf("%w: no peer is installed in %s (make bench-peers does it): %s", ErrPart, home, strings.Join(part.Notes[1:], "; "))
	}
	part.Reference = machine.DotReference(got["dot"])
	return part, nil
}

// name is that of the case in figures.
func (c *peerCase) name() string { return fmt.Sprintf("peers.%s_%d", c.peer, c.rank) }

// against measures a peer and, before every time, ourselves.
func (r *run) against(ctx context.Context, job peers.Job, c peerCase, shape gen.Shape, got samples) ([]report.Figure, error) {
	name := c.name()
	version := ""
	for fit := range c.fits {
		r.opt.Progress(name, int64(fit), int64(c.fits))
		got.add("dot", machine.DotKernel())
		var ours training.SolveResult
		if _, err := process.Call(ctx, r.opt.ChildCommand(ChildTrain), training.SolveJob{Shape: shape, Rank: c.rank, Iterations: peerIterations}, &ours); err != nil {
			return nil, err
		}
		theirs, err := peers.Run(ctx, job)
		if err != nil {
			return nil, err
		}
		version = theirs.Version
		got.add(name+".cpu", theirs.CPU)
		got.add(name+".wall", theirs.Wall)
		got.add(name+".peak_rss", theirs.PeakMiB)
		got.add(name+".our_cpu", ours.IterationCPU)
		got.add(name+".our_wall", ours.IterationWall)
		got.add(name+".our_peak_rss", ours.PeakMiB)
		got.add(name+".cpu_ratio", theirs.CPU/ours.IterationCPU)
		got.add(name+".wall_ratio", theirs.Wall/ours.IterationWall)
	}
	ratio := got.figure(name+".cpu_ratio", "x", report.Higher).WithBar(c.want)
	v := report.Judge(name, c.want, ratio.Value, "x", report.Higher)
	v.How = fmt.Sprintf("processor time of an iteration at rank %d, %s %s to ours", c.rank, c.peer, version)
	r.report.Verdict = append(r.report.Verdict, v)
	return []report.Figure{
		ratio, got.figure(name+".wall_ratio", "x", report.Higher),
		got.figure(name+".cpu", "s", ""), got.figure(name+".our_cpu", "s", report.Lower),
		got.figure(name+".wall", "s", ""), got.figure(name+".our_wall", "s", report.Lower),
		got.figure(name+".peak_rss", "MiB", ""), got.figure(name+".our_peak_rss", "MiB", report.Lower),
	}, nil
}

// searchPeers holds exact search over trained factors, and over flat ones,
// against other libraries'.
func (r *run) searchPeers(ctx context.Context, part *report.Part, home, dir string) error {
	shop, err := r.shopProfile(ctx, shopShape())
	if err != nil {
		return err
	}
	version := ""
	for _, c := range []struct {
		*retrieval.Profile
		retrieval.Bars
	}{{shop, retrieval.Bars{One: 25, Batch: 4}}, {retrieval.Gowalla(), retrieval.Bars{One: 6, Batch: 1}}} {
		r.opt.Progress("peers.search."+c.Name, 0, 1)
		theirs, err := peers.RunSearch(ctx, peers.SearchJob{Home: home, Data: dir, Items: c.Items, Queries: c.Queries, Rank: retrieval.Rank, K: 100})
		if errors.Is(err, peers.ErrAbsent) {
			part.Notes = append(part.Notes, "absent: "+err.Error())
			return nil
		}
		if err != nil {
			return err
		}
		version = theirs.Version
		search := report.Part{Figures: retrieval.Beside(c.Profile, theirs, c.Bars, retrieval.Options{Cost: process.ThreadTime, Repetitions: r.repetitions})}
		r.judgeBars(&search)
		part.Figures = append(part.Figures, search.Figures...)
	}
	part.Notes = append(part.Notes, fmt.Sprintf("search: %s, top 100 on one core; the ratio of a batch is to ours in a batch", version))
	return nil
}
