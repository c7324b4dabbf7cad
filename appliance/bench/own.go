package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"vitrine/als"
	"vitrine/appliance/bench/retrieval"
	"vitrine/appliance/bench/serving"
	"vitrine/appliance/bench/snapshot"
	"vitrine/appliance/config"
	"vitrine/appliance/signal"
	"vitrine/appliance/trainer"
)

// ownCase is the case in the names of figures that are taken on an archive, of
// whatever size: so two runs can be compared although it has grown.
const ownCase = "archive"

// ArchiveParts are those that Options.Archive can be measured with. What the
// others measure does not depend on a shop's data.
func ArchiveParts() []string { return []string{Serve, Retrieve, Train, Fresh, Recover} }

// archiveParts are the parts of a run on an archive.
func archiveParts(names []string) ([]string, error) {
	if len(names) == 0 {
		return ArchiveParts(), nil
	}
	for _, n := range names {
		if !slices.Contains(ArchiveParts(), n) {
			return nil, fmt.Errorf("%w: the part %s does not depend on an archive; those that do are %s", ErrPart, n, strings.Join(ArchiveParts(), ", "))
		}
	}
	return chosen(names)
}

// takeOwn takes the archive that the run is to be on.
func (r *run) takeOwn(ctx context.Context) error {
	if slices.Contains(r.opt.Only, caseSwaps) {
		return fmt.Errorf("%w: %s is measured on generated data, for its two models must have no list in common", ErrPart, caseSwaps)
	}
	own, err := snapshot.Take(ctx, snapshot.Options{Dir: r.opt.Archive, TempDir: r.opt.TempDir, Progress: r.opt.Progress})
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	r.own = own
	r.note("on the archive %s: %d events, %d item changes, %d user changes, %.1f MiB", own.Root, own.Events, own.ItemChanges, own.UserChanges, float64(own.Bytes)/(1<<20))
	if len(r.opt.Parts) == 0 {
		r.note("not measured, for they do not depend on the data: %s, %s and %s (run them without --archive)", Ingest, Plugins, Peers)
	}
	r.note(snapshot.NotJudged)
	return nil
}

// signal weighs events as the configuration says.
func (r *run) signal() (signal.Config, error) {
	c, err := config.Load(config.Sources{File: r.opt.ConfigFile, Set: r.settings()})
	if err != nil {
		return signal.Config{}, err
	}
	return signal.Config{Types: c.Ingest.Types, HalfLife: c.Train.HalfLife, MaxItems: c.Train.History, Alpha: c.Train.Alpha}, nil
}

// sample finds who is asked of a started and trained appliance with the archive.
func (r *run) sample(ctx context.Context, s *subject) error {
	cfg, err := r.signal()
	if err != nil {
		return err
	}
	n := int64(0)
	chosen, left, err := r.own.Choose(ctx, cfg, func(user string) (bool, error) {
		n++
		r.opt.Progress("serve."+s.name+".users", n, snapshot.MostUsers)
		return serving.Knows(ctx, s.address, user)
	})
	if err != nil {
		return err
	}
	if left > 0 {
		r.note("%d of %d users get no list of %d items made for them and are not asked", left, left+len(chosen.Users), askedItems)
	}
	s.users, s.items = chosen.Users, chosen.Items
	return nil
}

// refused is a model that does not pass the gate.
func refused(what, why string) error {
	return &snapshot.Unfit{Err: fmt.Errorf("%s: %s", what, why), Do: "vitrine train says the same of such a shop; other settings can be tried by --set train.KEY=VALUE"}
}

// ownJob is a training on the archive, of the rank and length of all others that
// are measured.
func (r *run) ownJob() (trainer.Job, error) {
	cfg, err := r.signal()
	return trainer.Job{ArchiveDir: r.own.Dir(), Signal: cfg}, err
}

// ownProfile is that of factors trained on the archive.
func (r *run) ownProfile(ctx context.Context) (*retrieval.Profile, error) {
	job, err := r.ownJob()
	if err != nil {
		return nil, err
	}
	data, err := trainer.Matrix(ctx, job)
	if err != nil {
		return nil, err
	}
	return r.trained(ctx, ownCase, data, als.Options{})
}

// gain measures the effect of an event on the order of items, where the model
// knows enough of them.
func (r *run) gain(ctx context.Context, b *serving.Bench, s *subject, sig *signal.Signal) error {
	err := r.with(s, func(shop *serving.Shop) error { return b.Gain(ctx, shop, s.dir, sig) })
	if r.own != nil && errors.Is(err, serving.ErrFewItems) {
		r.note("fresh.gain is not measured: %v", err)
		return nil
	}
	return err
}
