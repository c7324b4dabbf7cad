package offline

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"vitrine/als/dataset"
	"vitrine/als/model"
	"vitrine/als/neighbors"
	"vitrine/als/neighbors/tables"
	"vitrine/als/neighbors/tuning"
	"vitrine/als/topk"
)

// blended is a blend that is ready to be asked, with what its factor model
// needs to answer histories.
type blended struct {
	blend neighbors.Blend
	// fold is the weight of an item in the fold-in relative to the one after
	// it; 1 takes the vectors that the model has.
	fold    float64
	folder  *model.Folder
	vectors *model.Model
	weights *dataset.CSR // of the questions' items
	depth   int          // of a list
}

// foldDecays are tried on the validation part. Where an order is given, what
// was touched last says more than what the weights by age tell.
func foldDecays() []float64 { return []float64{1, 0.6} }

// blendTrials bounds the questions that the weights are chosen on.
const blendTrials = 4000

// blend chooses the weights of the sources on a validation part of what is
// fitted on, and builds them from all of it.
func (r *run) blend(ctx context.Context, f, validation *fitted) (*blended, error) {
	var weights []float32
	var fold float64
	err := r.stage("blend", func() (err error) {
		weights, fold, err = r.chooseBlend(ctx, validation)
		return err
	})
	if err != nil {
		return nil, err
	}
	b, err := r.buildBlend(ctx, f)
	if err != nil {
		return nil, err
	}
	b.fold = fold
	b.blend.Apply(weights)
	r.result.Options["blend"] = r.weightNames(weights)
	return b, nil
}

// weightNames says what each source of the blend weighs.
func (r *run) weightNames(weights []float32) map[string]float32 {
	out := map[string]float32{}
	for n, name := range r.sources() {
		out[name] = weights[n]
	}
	return out
}

// repeats tells whether what a history holds may be recommended again.
func (r *run) repeats() bool { return r.opt.Seen != SeenMasked }

// chooseBlend returns the weights and the decay of the fold-in that rank best.
func (r *run) chooseBlend(ctx context.Context, v *fitted) (weights []float32, fold float64, err error) {
	asked := r.trials(v)
	if v.matrix.NNZ() == 0 || len(asked) == 0 {
		weights = make([]float32, len(r.sources()))
		weights[len(weights)-1] = 1 // too little data to choose on: ALS alone
		return weights, 1, nil
	}
	if v.model, err = r.fitModel(ctx, v, r.settled("blend")); err != nil {
		return nil, 0, err
	}
	b, err := r.buildBlend(ctx, v)
	if err != nil {
		return nil, 0, err
	}
	best := -1.0
	memories := make([]memory, runtime.GOMAXPROCS(0))
	for _, decay := range foldDecays() {
		b.fold = decay
		trials := tuning.Trials{N: len(asked), At: func(worker, n int) tuning.Trial {
			m := &memories[worker]
			targets, _ := v.targets.Row(asked[n])
			m.items = r.itemsOf(v.exam.ask, asked[n], m.items)
			return tuning.Trial{
				Query:   b.query(asked[n], m.items, !r.repeats(), 10, m),
				Targets: r.wanted(v, asked[n], targets),
			}
		}}
		tuned, err := ascend(ctx, &b.blend, trials)
		if err != nil {
			return nil, 0, err
		}
		if tuned.NDCG > best {
			best, weights, fold = tuned.NDCG, tuned.Weights, decay
		}
	}
	r.result.Options["blend_ndcg_validation"] = best
	return weights, fold, nil
}

// placeOfSessions is where session neighbours stand among the sources.
const placeOfSessions = 1

// sources names the sources of the blend in its order.
func (r *run) sources() []string {
	names := []string{tables.PartTransitions, tables.PartSessions, tables.PartSimilar}
	if r.repeats() {
		names = append(names, "repeats")
	}
	return append(names, nameALS)
}

// wanted are the targets that a validation question may find.
func (r *run) wanted(v *fitted, q int, targets []uint32) []uint32 {
	if r.repeats() {
		return targets
	}
	seen, _ := v.mask.Row(q)
	return slices.DeleteFunc(slices.Clone(targets), func(item uint32) bool {
		_, masked := slices.BinarySearch(seen, item)
		return masked
	})
}

// trials are the validation questions that the blend is chosen on, evenly
// spread.
func (r *run) trials(v *fitted) []int {
	all := r.asked(v)
	if len(all) <= blendTrials {
		return all
	}
	some := make([]int, blendTrials)
	for n := range some {
		some[n] = all[n*len(all)/blendTrials]
	}
	return some
}

// asked are all questions with a history and something to find.
func (r *run) asked(v *fitted) []int {
	var all []int
	for q := range v.targets.Rows {
		items, _ := v.mask.Row(q)
		targets, _ := v.targets.Row(q)
		if len(items) > 0 && len(r.wanted(v, q, targets)) > 0 {
			all = append(all, q)
		}
	}
	return all
}

// buildBlend builds the sources from the part that is fitted on, without
// weights.
func (r *run) buildBlend(ctx context.Context, f *fitted) (*blended, error) {
	q := r.sequences(f.exam.fit)
	transitions, err := neighbors.Transitions(ctx, q, neighbors.TransitionOptions{Items: f.items, Shrink: 1})
	if err != nil {
		return nil, err
	}
	data, knnOptions := f.matrix, neighbors.KNNOptions{NearDecay: 5, Before: new(0.15)} // of whole histories
	if r.opt.Mode == ModeSession {
		data, knnOptions = ones(f.matrix), neighbors.KNNOptions{}
	}
	knn, err := sessionKNN(ctx, q, f.items, knnOptions)
	if err != nil {
		return nil, err
	}
	similar, err := neighbors.Similar(ctx, data, neighbors.SimilarOptions{})
	if err != nil {
		return nil, err
	}
	b := &blended{
		fold: 1, depth: slices.Max(r.cuts()), folder: model.NewFolder(f.model), vectors: f.model, weights: f.questions,
		blend: neighbors.Blend{Items: f.items, Sources: []neighbors.Weighted{
			{Source: &neighbors.Lookup{Table: transitions}}, {Source: knn}, {Source: &neighbors.Lookup{Table: similar}},
		}},
	}
	if r.repeats() {
		b.blend.Sources = append(b.blend.Sources, neighbors.Weighted{Source: neighbors.Repeat{Decay: 0.8}})
	}
	b.blend.Factors = &neighbors.Factors{Index: topk.New(f.model.Items, f.model.NumItems, f.model.Rank), Model: f.model}
	return b, nil
}

func sessionKNN(ctx context.Context, q *neighbors.Sequences, items int, opt neighbors.KNNOptions) (*neighbors.SessionKNN, error) {
	index, err := neighbors.NewSessions(ctx, q, neighbors.SessionOptions{Items: items})
	if err != nil {
		return nil, err
	}
	return neighbors.NewSessionKNN(index, opt)
}

// query is a question in the blend's terms.
func (b *blended) query(q int, history []uint32, masked bool, k int, m *memory) neighbors.Query {
	out := neighbors.Query{History: history, K: k, Vector: b.vector(q, history, m)}
	if masked {
		m.exclude = neighbors.Exclude(m.exclude, b.blend.Items, history)
		out.Exclude = m.exclude
	}
	return out
}

// vector is the question's: the model's own row, or its history folded in with
// older items weighing less.
func (b *blended) vector(q int, history []uint32, m *memory) []float32 {
	rank := b.vectors.Rank
	if b.fold == 1 {
		return b.vectors.Users[q*rank : (q+1)*rank]
	}
	m.folded, m.weights = m.folded[:0], m.weights[:0]
	known, given := b.weights.Row(q)
	weight := 1.0
	for n := len(history) - 1; n >= 0 && weight > 1e-3; n-- {
		at, ok := slices.BinarySearch(known, history[n])
		if ok && !slices.Contains(m.folded, history[n]) {
			m.folded = append(m.folded, history[n])
			m.weights = append(m.weights, given[at]*float32(weight))
		}
		weight *= b.fold
	}
	m.vector = slices.Grow(m.vector[:0], rank)[:rank]
	if err := b.folder.FoldIn(m.vector, m.folded, m.weights, &m.fold); err != nil {
		clear(m.vector) // an item beyond the model: it knows nothing of the user
	}
	return m.vector
}

// rank asks the blend.
func (b *blended) rank(q int, history []uint32, masked bool, m *memory) {
	m.hits = b.blend.Rank(b.query(q, history, masked, b.depth, m), m.hits, &m.scratch)
	m.out.Reset(b.blend.Items)
	for _, hit := range m.hits {
		m.out.Add(hit.Row, hit.Score)
	}
}

// parallel calls fn for 0 to n-1 on all cores, until one fails.
func parallel(ctx context.Context, n int, fn func(n int, s *model.Scratch) error) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			var s model.Scratch
			for at := int(next.Add(1)) - 1; at < n && ctx.Err() == nil; at = int(next.Add(1)) - 1 {
				if err := fn(at, &s); err != nil {
					mu.Lock()
					failed = fmt.Errorf("fold in row %d: %w", at, err)
					mu.Unlock()
					next.Store(math.MaxInt32)
				}
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return failed
}
