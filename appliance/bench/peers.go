package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"vitrine/appliance/bench/gen"
	"vitrine/appliance/bench/machine"
	"vitrine/appliance/bench/peers"
	"vitrine/appliance/bench/process"
	"vitrine/appliance/bench/report"
	"vitrine/appliance/bench/retrieval"
	"vitrine/appliance/bench/training"
)

// peerIterations of our own: the first and the last are not counted.
const peerIterations = 6

// peers holds training against other implementations on the same data.
func (r *run) peers(ctx context.Context) (*report.Part, error) {
	if r.opt.ChildCommand == nil {
		return nil, fmt.Errorf("%w: there is no command for the training child", ErrPart)
	}
	home, err := peers.Dir()
	if err != nil {
		return nil, err
	}
	return r.peersIn(ctx, home, peers.Shape(), gen.Sized(gen.FullCells))
}

// peersIn measures all cases that are asked for, the large ones on data of
// their own.
func (r *run) peersIn(ctx context.Context, home string, shape, large gen.Shape) (*report.Part, error) {
	got := report.Samples{"dot": {machine.DotKernel()}}
	part := &report.Part{Notes: []string{"seconds are of one full iteration, both sides; ratio: processor time to ours, taken beside it"}}
	if err := r.peersOn(ctx, part, peerData{home, shape, false}, got); err != nil {
		return nil, err
	}
	if err := r.peersOn(ctx, part, peerData{home, large, true}, got); err != nil {
		return nil, err
	}
	if len(part.Figures) == 0 {
		return nil, fmt.Errorf("%w: no peer is installed in %s (make bench-peers does it): %s", ErrPart, home, strings.Join(part.Notes[1:], "; "))
	}
	part.Reference = machine.DotReference(got["dot"])
	return part, nil
}

// peerData is where peers are and what they train on.
type peerData struct {
	home  string
	shape gen.Shape
	large bool
}

// peersOn measures the cases of one data set.
func (r *run) peersOn(ctx context.Context, part *report.Part, d peerData, got report.Samples) error {
	cases := slices.DeleteFunc(peers.Cases(), func(c peers.Case) bool {
		return c.Large != d.large || !r.wants(c.Name()) || c.Large && !r.opt.Full && len(r.opt.Only) == 0
	})
	if len(cases) == 0 {
		return nil
	}
	dir, err := os.MkdirTemp(r.opt.TempDir, "vitrine-bench-")
	if err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			r.warn("the data folder of the run could not be removed: %v", err)
		}
	}()
	fmt.Fprintf(r.data, "peers %+v\n", d.shape)
	r.opt.Progress("peers.data", 0, 1)
	cells, err := peers.Write(ctx, dir, d.shape, !d.large)
	if err != nil {
		return err
	}
	part.Notes = append(part.Notes, fmt.Sprintf("%d users, %d items, %d interactions, the same for all", d.shape.Users, d.shape.Items, cells))
	for _, c := range cases {
		figures, err := r.against(ctx, peers.Job{Peer: c.Peer, Home: d.home, Data: dir, Rank: c.Rank, Iterations: c.Iterations}, c, d.shape, got)
		if errors.Is(err, peers.ErrAbsent) {
			part.Notes = append(part.Notes, "absent: "+err.Error())
			continue
		}
		if err != nil {
			return err
		}
		part.Figures = append(part.Figures, figures...)
	}
	if d.large || len(r.opt.Only) > 0 {
		return nil
	}
	return r.searchPeers(ctx, part, d.home, dir)
}

// against measures a peer and, before every time, ourselves.
func (r *run) against(ctx context.Context, job peers.Job, c peers.Case, shape gen.Shape, got report.Samples) ([]report.Figure, error) {
	name := "peers." + c.Name()
	version := ""
	for fit := range c.Fits {
		r.opt.Progress(name, int64(fit), int64(c.Fits))
		got.Add("dot", machine.DotKernel())
		var ours training.SolveResult
		if err := process.Call(ctx, r.opt.ChildCommand(ChildTrain), training.SolveJob{Shape: shape, Rank: c.Rank, Iterations: peerIterations}, &ours); err != nil {
			return nil, err
		}
		theirs, err := peers.Run(ctx, job)
		if err != nil {
			return nil, err
		}
		version = theirs.Version
		got.Add(name+".cpu", theirs.CPU)
		got.Add(name+".wall", theirs.Wall)
		got.Add(name+".peak_rss", theirs.PeakMiB)
		got.Add(name+".our_cpu", ours.IterationCPU)
		got.Add(name+".our_wall", ours.IterationWall)
		got.Add(name+".our_peak_rss", ours.PeakMiB)
		got.Add(name+".cpu_ratio", theirs.CPU/ours.IterationCPU)
		got.Add(name+".wall_ratio", theirs.Wall/ours.IterationWall)
		got.Add(name+".memory_share", ours.PeakMiB/theirs.PeakMiB)
	}
	ratio := got.Figure(name+".cpu_ratio", "x", report.Higher).WithBar(c.Want)
	v := report.Judge(name, c.Want, ratio.Value, "x", report.Higher)
	v.How = fmt.Sprintf("processor time of an iteration at rank %d, %s %s to ours", c.Rank, c.Peer, version)
	r.report.Verdict = append(r.report.Verdict, v)
	memory := got.Figure(name+".memory_share", "x", report.Lower)
	if c.Memory > 0 {
		memory = memory.WithBar(c.Memory)
		v := report.Judge(memory.Name, c.Memory, memory.Value, "x", report.Lower)
		v.How = "our most memory, the making of the data included, to that of " + c.Peer
		r.report.Verdict = append(r.report.Verdict, v)
	}
	return []report.Figure{
		ratio, got.Figure(name+".wall_ratio", "x", report.Higher), memory,
		got.Figure(name+".cpu", "s", ""), got.Figure(name+".our_cpu", "s", report.Lower),
		got.Figure(name+".wall", "s", ""), got.Figure(name+".our_wall", "s", report.Lower),
		got.Figure(name+".peak_rss", "MiB", ""), got.Figure(name+".our_peak_rss", "MiB", report.Lower),
	}, nil
}

// searchPeers holds exact search over trained factors, and over flat ones,
// against other libraries'.
func (r *run) searchPeers(ctx context.Context, part *report.Part, home, dir string) error {
	if err := peers.Installed(home, peers.Retrieval); err != nil {
		part.Notes = append(part.Notes, "absent: "+err.Error())
		return nil
	}
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
		r.judgeBars(search.Figures)
		part.Figures = append(part.Figures, search.Figures...)
	}
	part.Notes = append(part.Notes, fmt.Sprintf("search: %s, top 100 on one core; the ratio of a batch is to ours in a batch", version))
	return nil
}
