package training

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"vitrine/appliance/client"
	"vitrine/appliance/jobs"
	"vitrine/appliance/trainer/offline"
	"vitrine/cmd/vitrine/cli"
	"vitrine/cmd/vitrine/progress"
	"vitrine/internal/disk"
)

// evalFlags are the flags of vitrine eval.
type evalFlags struct {
	k                                      int
	split, seen, mode                      string
	ease                                   int
	events, train, test                    []string
	format, mapping, where, tsFormat, zone string
}

func (a app) evalCommand() *cobra.Command {
	f := evalFlags{k: 10}
	cmd := &cobra.Command{
		Use:   "eval [--events FILE... | --train FILE --test FILE]",
		Short: "Measure models on data that they have not seen, publishing nothing",
		Long: `Fit the appliance's model, the blend and the baselines on one part of the interactions
and rank the whole catalogue for the users of the other. Without files the archive is
measured; files are those of an import (CSV, TSV, NDJSON, Parquet, compressed), ratings
without a header (user item rating time), or lines of "user item item ...".
Settings can be tried with --set, such as --set train.rank=32.`,
		Example: `  vitrine eval --set train.half_life=30d
  vitrine eval --train train.txt --test test.txt --k 20
  vitrine eval --events Beauty.txt.xz --split leave-last-out
  vitrine eval --mode session --train shop.train.txt --test shop.test.txt --k 20
  vitrine eval --mode explicit --split folds:5 --events u.data`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd, args); err != nil {
				return err
			}
			report, err := a.evaluate(cmd.Context(), &f)
			if err != nil {
				return fmt.Errorf("eval: %w", err)
			}
			if a.JSON {
				return a.PrintJSON(report)
			}
			a.printEvaluation(report, f.k)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&f.k, "k", f.k, "a further `cut` at which every metric is measured")
	flags.StringVar(&f.split, "split", "", "`HOW` the test part is held out: time (the newest tenth), leave-last-out or folds:N (default time)")
	flags.StringVar(&f.seen, "seen", "", "what is done with items that a user has in training: `masked`, kept or both (default masked)")
	flags.StringVar(&f.mode, "mode", "", "what the interactions are: `implicit`, explicit (ratings) or session (default implicit)")
	flags.IntVar(&f.ease, "ease-items", 10_000, "the largest catalogue of `N` items that EASE is trained on; 0 leaves it out")
	flags.StringArrayVar(&f.events, "events", nil, "measure this `FILE` instead of the archive (repeatable)")
	flags.StringArrayVar(&f.train, "train", nil, "the `FILE` of a given split to fit on (repeatable)")
	flags.StringArrayVar(&f.test, "test", nil, "the `FILE` of a given split to be found (repeatable)")
	flags.StringVar(&f.mapping, "map", "", "which `COLUMNS` of the files are what: user_id=Col,item_id=Col,value=Col,ts=Col; by position where there is no header: user_id=1")
	flags.StringVar(&f.format, "format", "", "`FORMAT` of the files: csv, tsv, ndjson, parquet, lists or sessions (guessed when not given)")
	flags.StringVar(&f.where, "where", "", "keep the rows of the files for which this `EXPRESSION` holds")
	flags.StringVar(&f.tsFormat, "ts-format", "", "`FORM` of the times in the files where they are not understood by themselves")
	flags.StringVar(&f.zone, "tz", "", "time `ZONE` of times that name none (default UTC)")
	return cmd
}

// check refuses flags that exclude each other. Further names behind the files
// of --events belong to them: a shell's pattern gives several.
func (f *evalFlags) check(cmd *cobra.Command, args []string) error {
	if err := cli.CheckCount(cmd, "k", f.k); err != nil {
		return err
	}
	switch {
	case len(args) > 0 && len(f.events) == 0:
		return cli.Usage(cmd, "eval takes no arguments, not %q", args[0])
	case len(f.events) > 0 && len(f.train)+len(f.test) > 0:
		return cli.Usage(cmd, "--events is for one data set to be split; --train and --test are a split already")
	case len(f.train) == 0 != (len(f.test) == 0):
		return cli.Usage(cmd, "--train and --test belong together")
	case len(f.train) > 0 && f.split != "":
		return cli.Usage(cmd, "--split does not apply to a given split (--train and --test)")
	}
	f.events = append(f.events, args...)
	if !f.files() && f.mapping+f.format+f.where+f.tsFormat+f.zone != "" {
		return cli.Usage(cmd, "--map, --format, --where, --ts-format and --tz are for files: name them by --events, or --train and --test")
	}
	if f.ease == 0 {
		f.ease = -1 // to the library 0 is its default
	}
	if err := f.options().Check(); err != nil {
		return cli.Usage(cmd, "--%s", err)
	}
	return nil
}

// files tells whether files are measured, and not the archive.
func (f *evalFlags) files() bool { return len(f.events)+len(f.train) > 0 }

func (f *evalFlags) options() offline.Options {
	return offline.Options{K: f.k, Split: f.split, Seen: f.seen, Mode: f.mode, EASEItems: f.ease}
}

func (a app) evaluate(ctx context.Context, f *evalFlags) (report *client.TrainReport, err error) {
	if f.files() {
		return a.evaluateFiles(ctx, f)
	}
	err = a.With(ctx, "eval", func(cl *client.Client) error {
		report, err = a.evaluateArchive(ctx, cl, f)
		return err
	})
	return report, err
}

// evaluateFiles measures files in a child process of this one.
func (a app) evaluateFiles(ctx context.Context, f *evalFlags) (*client.TrainReport, error) {
	c, err := a.Load()
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Concat(f.events, f.train, f.test) {
		info, err := os.Stat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, cli.Hint(fmt.Errorf("%s: there is no such file", name), "the path counts from "+cli.WorkingDir())
		case err != nil:
			return nil, fmt.Errorf("%s: %w", name, disk.WithoutPath(err))
		case info.IsDir():
			return nil, cli.Hint(fmt.Errorf("%s: it is a folder", name), "name the files in it")
		}
	}
	command, err := cli.ChildLine()
	if err != nil {
		return nil, err
	}
	bar := progress.New(a.Err)
	defer bar.Done()
	files := offline.Source{
		Events: f.events, Train: f.train, Test: f.test,
		Format: f.format, Map: f.mapping, Where: f.where, TSFormat: f.tsFormat, TZ: f.zone,
	}
	evaluation := jobs.Evaluation{Command: command, Config: c, Files: files, Options: f.options()}
	report, err := evaluation.Run(ctx, bar.Show)
	if err != nil {
		return nil, err
	}
	// The client's type is the same document, generated for the other side.
	document, err := json.Marshal(report)
	if err != nil {
		return nil, fmt.Errorf("encode report: %w", err)
	}
	out := &client.TrainReport{}
	return out, json.Unmarshal(document, out)
}

// evaluateArchive has the appliance measure its archive.
func (a app) evaluateArchive(ctx context.Context, cl *client.Client, f *evalFlags) (*client.TrainReport, error) {
	job, err := cl.StartJob(ctx, client.JobRequest{
		Kind: client.Eval, K: f.k, Set: a.Set, Split: f.split,
		Seen: f.seen, Mode: f.mode, EaseItems: f.ease,
	})
	if err != nil {
		return nil, err
	}
	if job, err = a.follow(ctx, cl, job.ID); err != nil {
		return nil, err
	}
	if job.State == client.Failed {
		return nil, errors.New(job.Error)
	}
	if len(job.Report.Models) == 0 {
		return nil, cli.Hint(fmt.Errorf("nothing to measure: %s", job.Verdict.Reason), "load more events: vitrine import FILE")
	}
	return job.Report, nil
}

// printEvaluation is the table for people: a column per model, half of the
// interval behind each figure.
func (a app) printEvaluation(r *client.TrainReport, k int) {
	fmt.Fprintf(a.Out, "%s users, %s items, %s interactions; %v users asked\n",
		progress.Count(int64(r.Users)), progress.Count(int64(r.Items)), progress.Count(int64(r.Interactions)), r.Options["evaluated_users"])
	fmt.Fprintf(a.Out, "split %v, seen items %v, mode %v\n\n", r.Options["split"], r.Options["seen"], r.Options["mode"])
	fmt.Fprintf(a.Out, "%-20s", "")
	for _, m := range r.Models {
		name := m.Name
		if m.Published {
			name += " *"
		}
		fmt.Fprintf(a.Out, " %15s", name)
	}
	fmt.Fprintln(a.Out)
	for _, name := range shownMetrics(r, k) {
		fmt.Fprintf(a.Out, "%-20s", name)
		for _, m := range r.Models {
			fmt.Fprintf(a.Out, " %15s", figureCell(m.Metrics, m.Interval, name))
		}
		fmt.Fprintln(a.Out)
	}
	for _, slice := range []string{"cold", "warm", "heavy"} {
		if _, ok := r.Models[0].Slices[slice]; !ok {
			continue
		}
		fmt.Fprintf(a.Out, "%-20s", "ndcg@10 "+slice)
		for _, m := range r.Models {
			fmt.Fprintf(a.Out, " %15s", figureCell(m.Slices[slice].Metrics, m.Slices[slice].Interval, "ndcg@10"))
		}
		fmt.Fprintf(a.Out, "   %s users\n", progress.Count(int64(r.Models[0].Slices[slice].Users)))
	}
	fmt.Fprintln(a.Out, "\n* would go live. Behind +- is half of the 95 % interval. Cold, warm and heavy users have under 5, 5 to 49, and more items.")
	for _, note := range []string{"rejected_rows", "first_rejected", "masked_targets", "targets_of_unknown_items", "users_without_history", "left_out", "ease"} {
		if v, ok := r.Options[note]; ok {
			fmt.Fprintf(a.Out, "%s: %v\n", note, v)
		}
	}
	fmt.Fprintf(a.Out, "%.1f s\n", r.Seconds["total"])
}

// figureCell is one figure of the table.
func figureCell(metrics map[string]float64, interval map[string][]float64, name string) string {
	v, ok := metrics[name]
	if !ok {
		return "-"
	}
	if i := interval[name]; len(i) == 2 {
		return fmt.Sprintf("%.4f +-%.4f", v, (i[1]-i[0])/2)
	}
	return fmt.Sprintf("%.4f       ", v)
}

// shownMetrics are those at their customary cut and at --k.
func shownMetrics(r *client.TrainReport, k int) []string {
	customary := []string{
		"rmse", "mae", "ndcg@10", "hit_rate@10", "recall@20", "precision@10", "map@10", "mrr@20",
		"coverage@10", "novelty@10", "popularity_share@10",
	}
	if r.Options["mode"] == "session" {
		customary[3] = "hit_rate@20"
	}
	var out []string
	for _, name := range customary {
		out = append(out, name)
		if at := fmt.Sprintf("%s@%d", beforeCut(name), k); at != name {
			out = append(out, at)
		}
	}
	return slices.DeleteFunc(slices.Compact(out), func(name string) bool {
		return !slices.ContainsFunc(r.Models, func(m client.ModelMetrics) bool {
			_, ok := m.Metrics[name]
			return ok
		})
	})
}

func beforeCut(name string) string {
	for n := range len(name) {
		if name[n] == '@' {
			return name[:n]
		}
	}
	return name
}
