package offline

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"vitrine/als/dataset"
	"vitrine/als/eval"
	"vitrine/als/model"
	"vitrine/als/neighbors"
	"vitrine/als/topk"
)

// The names of the models.
const (
	nameALS        = "als"
	nameBiased     = "als-biases"
	namePlain      = "als-without-biases"
	nameBlend      = "blend"
	namePopularity = "popularity"
	nameItemKNN    = "item-knn"
	nameSessionKNN = "session-knn"
	nameEASE       = "ease"
	nameBias       = "bias"
	kept           = "-kept"
)

// maxNeighbours is the number of interactions up to which the models beside
// ALS and popularity are measured: their tables take minutes beyond it.
const maxNeighbours = 30_000_000

// fitted is everything that was fitted on one part, and the questions to it.
type fitted struct {
	exam       *exam
	items      int
	matrix     *dataset.CSR // what models are fitted on
	questions  *dataset.CSR // the weighed histories of the questions
	mask       *dataset.CSR // all that the questions' users have
	targets    *dataset.CSR
	popularity []float32
	counts     []float32
	eligible   []bool
	model      *model.Model // its users are the questions
	// other is, of ratings, the model that the settings do not ask for.
	other *model.Model
}

// ranker is a model that can be asked.
type ranker struct {
	name    string
	factors *model.Model
	score   eval.Scorer
	// lists makes the scorer of a model that is to know which items may be
	// shown; nil for others.
	lists lister
}

// lister makes a scorer for lists with or without seen items.
type lister func(masked bool) (eval.Scorer, error)

// measure fits and asks everything in one turn.
func (r *run) measure(ctx context.Context, d *data) error {
	exam := r.exam(d, r.turn)
	f, err := r.prepare(exam, len(d.items))
	if err != nil {
		return err
	}
	switch {
	case len(d.train.events) == 0 && r.job.Source.Dir != "":
		r.result.Nothing = "the archive holds no interactions yet"
	case f.matrix.NNZ() == 0:
		r.result.Nothing = "too little data: no interaction is left to train on"
	case f.targets.NNZ() == 0:
		r.result.Nothing = "too little data: no interaction of a known item is held out"
	}
	if r.result.Nothing != "" {
		return nil
	}
	r.countTargets(f)
	validation, err := r.prepare(r.validation(exam), len(d.items))
	if err != nil {
		return err
	}
	if err := r.stage("tune", func() error { return r.tune(ctx, validation) }); err != nil {
		return err
	}
	if err := r.stage("fit", func() error { return r.fitModels(ctx, f) }); err != nil {
		return err
	}
	rankers, err := r.rankers(ctx, f, validation)
	if err != nil {
		return err
	}
	return r.stage("evaluate", func() error {
		for _, rk := range rankers {
			if err := r.askRanking(ctx, f, rk); err != nil {
				return err
			}
		}
		if r.opt.Mode == ModeExplicit {
			return r.askRatings(ctx, f)
		}
		return nil
	})
}

// prepare makes the matrices of an exam.
func (r *run) prepare(e *exam, items int) (*fitted, error) {
	f := &fitted{exam: e, items: items}
	var err error
	weigh := func(h *history, whole bool) *dataset.CSR {
		var m *dataset.CSR
		if err == nil {
			m, err = r.matrix(h, items, e.newest, whole)
		}
		return m
	}
	// The archive is measured as a training would see it, with the cap of a
	// history; other data as it is.
	whole := r.job.Source.Dir == ""
	f.matrix, f.targets = weigh(e.fit, whole), weigh(e.targets, true)
	f.questions = f.matrix
	if !e.own {
		f.questions = weigh(e.ask, whole)
	}
	f.mask = weigh(e.ask, true)
	if err != nil {
		return nil, err
	}
	f.popularity = r.popularity(e.fit, items, e.newest)
	f.counts, f.eligible = make([]float32, items), make([]bool, items)
	for item, n := range f.matrix.Counts() {
		f.counts[item], f.eligible[item] = float32(n), n > 0
	}
	if r.opt.Split == SplitTime {
		// As the gate does: no model that has only seen the older part can name
		// an item that is new. The splits of published tables count it as missed.
		f.targets = only(f.targets, f.eligible)
	}
	if r.job.Source.Dir != "" {
		f.targets = sample(f.targets, mostUsers)
	}
	return f, nil
}

// only keeps the cells of some columns.
func only(m *dataset.CSR, cols []bool) *dataset.CSR {
	out := &dataset.CSR{Rows: m.Rows, Cols: m.Cols, Indptr: make([]int64, 1, m.Rows+1)}
	for row := range m.Rows {
		items, weights := m.Row(row)
		for n, item := range items {
			if cols[item] {
				out.Indices, out.Weights = append(out.Indices, item), append(out.Weights, weights[n])
			}
		}
		out.Indptr = append(out.Indptr, int64(len(out.Indices)))
	}
	return out
}

// mostUsers of an archive are asked at most, evenly spread, as in the gate.
const mostUsers = 50_000

// sample empties all but so many of the rows that hold something.
func sample(m *dataset.CSR, most int) *dataset.CSR {
	total := 0
	for row := range m.Rows {
		if m.Indptr[row] < m.Indptr[row+1] {
			total++
		}
	}
	if total <= most {
		return m
	}
	out, n := &dataset.CSR{Rows: m.Rows, Cols: m.Cols, Indptr: make([]int64, 1, m.Rows+1)}, 0
	for row := range m.Rows {
		if items, weights := m.Row(row); len(items) > 0 {
			if n*most/total != (n+1)*most/total {
				out.Indices, out.Weights = append(out.Indices, items...), append(out.Weights, weights...)
			}
			n++
		}
		out.Indptr = append(out.Indptr, int64(len(out.Indices)))
	}
	return out
}

// rankers builds the models beside ALS. They stand in the order of the report.
func (r *run) rankers(ctx context.Context, f, validation *fitted) ([]ranker, error) {
	popular := eval.Popularity(f.popularity)
	out := []ranker{{name: nameALS, factors: withoutStrangers(f.model, f.questions), score: popular}}
	if f.other != nil {
		out = append(out, ranker{name: r.otherName(), factors: withoutStrangers(f.other, f.questions), score: popular})
	}
	if len(f.exam.fit.events) > maxNeighbours {
		r.result.Options["left_out"] = fmt.Sprintf("blend, item-knn and ease: more than %d interactions", maxNeighbours)
		return append(out, ranker{name: namePopularity, score: popular}), nil
	}
	if r.opt.Mode != ModeExplicit {
		var lists lister
		var err error
		if r.asLive(f) {
			lists, err = r.liveBlend(ctx, f)
		} else {
			lists, err = r.ownBlend(ctx, f, validation)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, ranker{name: nameBlend, lists: lists})
	}
	out = append(out, ranker{name: namePopularity, score: popular})
	more, err := r.baselines(ctx, f)
	return append(out, more...), err
}

// baselines are what the literature holds beside a model.
func (r *run) baselines(ctx context.Context, f *fitted) (out []ranker, err error) {
	start := time.Now()
	defer func() { r.result.Seconds["baselines"] += time.Since(start).Seconds() }()
	data := f.matrix
	if r.opt.Mode == ModeSession {
		data = ones(data)
	}
	similar, err := neighbors.Similar(ctx, data, neighbors.SimilarOptions{})
	if err != nil {
		return nil, err
	}
	lookup := &neighbors.Lookup{Table: similar, Decay: 1}
	if r.opt.Mode == ModeSession {
		lookup.Decay = 0 // an order is given: the default
	}
	out = append(out, ranker{name: nameItemKNN, lists: r.listed(f, r.source(f, lookup))})
	if r.opt.Mode == ModeSession {
		knn, err := sessionKNN(ctx, r.sequences(f.exam.fit), f.items, neighbors.KNNOptions{})
		if err != nil {
			return nil, err
		}
		out = append(out, ranker{name: nameSessionKNN, lists: r.listed(f, r.source(f, knn))})
	}
	limit := r.opt.EASEItems
	setDefault(&limit, neighbors.DefaultEASEItems)
	if f.items > limit || r.opt.Mode == ModeSession {
		if r.opt.Mode != ModeSession && limit > 0 {
			r.result.Options["ease"] = fmt.Sprintf("left out: %d items, the limit is %d", f.items, limit)
		}
		return out, nil
	}
	ease, err := neighbors.EASE(ctx, ones(f.matrix), neighbors.EASEOptions{MaxItems: limit})
	if err != nil {
		return nil, err
	}
	return append(out, ranker{name: nameEASE, lists: r.listed(f, r.source(f, &neighbors.Lookup{Table: ease, Decay: 1}))}), nil
}

// ones is a matrix with the same cells, of weight 1.
func ones(m *dataset.CSR) *dataset.CSR {
	weights := make([]float32, m.NNZ())
	for n := range weights {
		weights[n] = 1
	}
	return &dataset.CSR{Rows: m.Rows, Cols: m.Cols, Indptr: m.Indptr, Indices: m.Indices, Weights: weights}
}

// asker ranks items for question q: it leaves its scores in out.
type asker func(q int, history []uint32, masked bool, m *memory)

// memory is what one goroutine needs to ask.
type memory struct {
	scratch neighbors.Scratch
	out     neighbors.Scores
	items   []uint32
	exclude []uint64
	vector  []float32
	fold    model.Scratch
	folded  []uint32
	weights []float32
	hits    []topk.Hit
}

// source asks one source alone.
func (r *run) source(f *fitted, s neighbors.Source) asker {
	return func(_ int, history []uint32, _ bool, m *memory) {
		m.out.Reset(f.items)
		s.Score(history, &m.out, &m.scratch)
	}
}

// listed makes a scorer of sources that know some items only: what they do not
// name is never ranked. Questions without a history are answered by
// popularity, as in service.
func (r *run) listed(f *fitted, ask asker) lister {
	pool := sync.Pool{New: func() any { return &memory{} }}
	return func(masked bool) (eval.Scorer, error) {
		return func(q int, dst []float32) {
			m := pool.Get().(*memory)
			defer pool.Put(m)
			m.items = r.itemsOf(f.exam.ask, q, m.items)
			if len(m.items) == 0 {
				copy(dst, f.popularity)
				return
			}
			for n := range dst {
				dst[n] = float32(math.NaN())
			}
			ask(q, m.items, masked, m)
			for _, item := range m.out.Items() {
				dst[item], _ = m.out.Get(item)
			}
		}, nil
	}
}

// cuts are all list lengths that are measured.
func (r *run) cuts() []int {
	cuts := []int{10, 20}
	if k := r.opt.K; k > 0 && !slices.Contains(cuts, k) {
		cuts = append(cuts, k)
	}
	return cuts
}

// askRanking measures one model by the rules for seen items.
func (r *run) askRanking(ctx context.Context, f *fitted, rk ranker) error {
	ask := func(name string, mask *dataset.CSR) error {
		score := rk.score
		if rk.lists != nil {
			var err error
			if score, err = rk.lists(mask != nil); err != nil {
				return err
			}
		}
		result, err := eval.Ranking(ctx, eval.Input{
			Targets: f.targets, Mask: mask, Factors: rk.factors, Score: score,
			Eligible: f.eligible, Ks: r.cuts(), Popularity: f.counts,
		})
		if err != nil {
			return err
		}
		r.tally.rank(name, result, f.questions)
		return nil
	}
	switch r.opt.Seen {
	case SeenMasked:
		return ask(rk.name, f.mask)
	case SeenKept:
		return ask(rk.name, nil)
	}
	if err := ask(rk.name, f.mask); err != nil {
		return err
	}
	return ask(rk.name+kept, nil)
}
