package bench

import (
	"context"
	"fmt"

	"vitrine/als"
	"vitrine/als/dataset"
	"vitrine/appliance/bench/gen"
	"vitrine/appliance/bench/machine"
	"vitrine/appliance/bench/process"
	"vitrine/appliance/bench/report"
	"vitrine/appliance/bench/retrieval"
)

// shopSweeps of training over shopShape make factors with the norms of a model
// in seconds.
const shopSweeps = 6

func shopShape() gen.Shape {
	return gen.Shape{Users: 100_000, Items: 100_000, Cells: 4_000_000, Seed: 2}
}

// retrieve measures exact top-K search over trained and generated factors.
func (r *run) retrieve(ctx context.Context) (*report.Part, error) {
	shape := shopShape()
	profiles := []func() (*retrieval.Profile, error){
		func() (*retrieval.Profile, error) { return r.shopProfile(ctx, shape) },
		func() (*retrieval.Profile, error) { return barred(retrieval.Gowalla(), 75), nil },
		func() (*retrieval.Profile, error) { return barred(retrieval.Flat(100_000), 260), nil },
	}
	trained := fmt.Sprintf("shop_100k is trained: %d users, %d cells, %d sweeps", shape.Users, shape.Cells, shopSweeps)
	if r.own != nil {
		profiles, trained = []func() (*retrieval.Profile, error){func() (*retrieval.Profile, error) { return r.ownProfile(ctx) }}, "archive: factors trained on all of it"
	}
	if r.opt.Pairs != "" {
		profiles = append(profiles, func() (*retrieval.Profile, error) {
			data, err := retrieval.ReadPairs(r.opt.Pairs)
			if err != nil {
				return nil, err
			}
			return r.trained(ctx, "pairs", data, als.Options{})
		})
	}
	if r.opt.Full && r.own == nil {
		profiles = append(profiles,
			func() (*retrieval.Profile, error) { return retrieval.Skewed(1_000_000), nil },
			func() (*retrieval.Profile, error) { return retrieval.Flat(1_000_000), nil })
	}
	part := &report.Part{Notes: []string{
		"processor time of one query on one core, mean of many; some of them held against a naive scan with every set of kernels",
		trained,
	}}
	got := report.Samples{}
	mismatches := 0
	opt := retrieval.Options{Cost: process.ThreadTime, Repetitions: r.repetitions, Progress: r.opt.Progress, Dot: func() float64 {
		ns := machine.DotKernel()
		got.Add("dot", ns)
		return ns
	}}
	for _, make := range profiles {
		p, err := make()
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(r.data, "retrieve %s %d %d\n", p.Name, p.N, len(p.Queries))
		figures, wrong, err := retrieval.Measure(ctx, p, opt)
		if err != nil {
			return nil, err
		}
		mismatches += wrong
		part.Figures = append(part.Figures, figures...)
	}
	part.Reference = machine.DotReference(got["dot"])
	part.Figures = append(part.Figures, report.New("retrieve.all.mismatches", "", report.Lower, float64(mismatches)).WithBar(0))
	if mismatches > 0 {
		r.invalidate("retrieval differs from a naive scan in %d queries", mismatches)
	}
	return part, nil
}

func barred(p *retrieval.Profile, us float64) *retrieval.Profile {
	p.Bar = us
	return p
}

// shopProfile trains the generated shop.
func (r *run) shopProfile(ctx context.Context, shape gen.Shape) (*retrieval.Profile, error) {
	data, err := gen.Matrix(ctx, shape)
	if err != nil {
		return nil, err
	}
	p, err := r.trained(ctx, "shop_"+report.Short(shape.Items), data, als.Options{Iterations: shopSweeps, Seed: shape.Seed})
	if err != nil {
		return nil, err
	}
	p.Bar, p.PerItem = 30, 2.6
	return p, nil
}

// trained is the profile of a model of data.
func (r *run) trained(ctx context.Context, name string, data *dataset.CSR, opt als.Options) (*retrieval.Profile, error) {
	r.opt.Progress("retrieve."+name+".train", 0, 1)
	opt.Rank = retrieval.Rank
	m, _, err := als.Train(ctx, data, opt)
	if err != nil {
		return nil, fmt.Errorf("train %s: %w", name, err)
	}
	return retrieval.Trained(name, m), nil
}
