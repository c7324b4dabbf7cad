// Package exports has the command export.
//
// It knows no other commands.
package exports

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"vitrine/appliance"
	"vitrine/appliance/client"
	"vitrine/appliance/export/table"
	"vitrine/appliance/publish"
	"vitrine/cmd/vitrine/cli"
	"vitrine/cmd/vitrine/progress"
)

// app is what the commands of this package share with all others.
type app struct{ *cli.App }

// redisTarget is the --to that is no folder.
const redisTarget = "redis"

// The values of --format.
const (
	formatParquet = "parquet"
	formatNDJSON  = "ndjson"
)

// flags are the command's.
type flags struct {
	to, format string
	codes      bool
	limit      int
}

// kinds are what can be exported.
var kinds = []string{table.Events, table.Items, table.Users, table.Model, table.Recommendations}

// Command is export, for the root.
func Command(shared *cli.App) *cobra.Command {
	a := app{shared}
	var f flags
	cmd := &cobra.Command{
		Use:   "export " + strings.Join(kinds, "|") + " --to DIR",
		Short: "Write what the appliance has as Parquet or NDJSON, or everybody's lists to Redis",
		Long: `Write a table into a folder of its own in DIR, while the appliance runs or not: part-*.parquet, and _SUCCESS when it is whole.
Nothing appears there before all of it is on disk.

recommendations  everybody's list, as /v1/recommend answers; made while nobody else asks
events           the archive as a training reads it: without repeats and erased users, guests' events as theirs whom they became
items, users     their present attributes
model            user_factors and item_factors of the live version

With --codes, numbers from 0 stand for ids, and user_codes and item_codes beside the table explain them.
"--to redis" writes the lists where redis.publish would: redis.address, redis.key and redis.ttl.`,
		Example: `  vitrine export recommendations --to /srv/lists/monday
  vitrine export recommendations --limit 10 --to redis --set redis.address=localhost:6379
  vitrine export events --codes --to /srv/for-spark`,
		ValidArgs: kinds,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || !slices.Contains(kinds, args[0]) {
				return cli.Usage(cmd, "export takes exactly one of: %s", strings.Join(kinds, ", "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.check(cmd, args[0], &f); err != nil {
				return err
			}
			return a.run(cmd.Context(), args[0], &f)
		},
	}
	set := cmd.Flags()
	set.StringVar(&f.to, "to", "", "`DIR` that the table's folder comes to lie in; or redis, for recommendations")
	set.StringVar(&f.format, "format", formatParquet, "`FORMAT` of the files: parquet or ndjson")
	set.BoolVar(&f.codes, "codes", false, "write numbers instead of ids, and tables that explain them")
	set.IntVarP(&f.limit, "limit", "n", 0, "items of a list, 1 to 500 (default recommend.limit)")
	return cmd
}

// check refuses what does not go together.
func (a app) check(cmd *cobra.Command, kind string, f *flags) error {
	switch {
	case f.to == "":
		return cli.Usage(cmd, "export needs --to: a folder, or redis for recommendations")
	case f.format != formatParquet && f.format != formatNDJSON:
		return cli.Usage(cmd, "--format must be parquet or ndjson, not %q", f.format)
	}
	if err := cli.CheckCount(cmd, "limit", f.limit); err != nil {
		return err
	}
	given := cmd.Flags().Changed
	switch {
	case given("limit") && kind != table.Recommendations:
		return cli.Usage(cmd, "--limit is the length of lists; %s have none", kind)
	case f.to != redisTarget:
		return nil
	case kind != table.Recommendations:
		return cli.Usage(cmd, "only recommendations go to redis; ./%s is a folder of that name", redisTarget)
	case f.codes || given("format"):
		return cli.Usage(cmd, "--codes and --format are about files; in redis a list is ids with commas")
	}
	return nil
}

func (a app) run(ctx context.Context, kind string, f *flags) error {
	began := time.Now()
	var res table.Result
	bar := progress.New(a.Err)
	defer bar.Done()
	receive := a.toFiles
	if f.to == redisTarget {
		receive = a.toRedis
	}
	reach := a.With
	if kind == table.Recommendations {
		reach = a.WithPlugins // they have a part in every list
	}
	err := reach(ctx, "export "+kind, func(cl *client.Client) error {
		lines, rows, err := cl.Export(ctx, client.ExportKind(kind), f.limit)
		if err != nil {
			return fmt.Errorf("export: %w", err)
		}
		defer lines.Close() //nolint:errcheck // read only
		if !cl.InProcess() {
			giveWay()
		}
		res, err = receive(ctx, kind, f, stream{lines, func(n int64) { bar.Show("export", n, max(rows, n)) }})
		return err
	})
	bar.Done()
	if err != nil {
		return err
	}
	return a.tell(kind, f, &res, time.Since(began))
}

// niceness of the command while it works beside an appliance that answers.
const niceness = 10

// giveWay lowers the priority of every thread of this process, and with that of
// those to come. Where it fails the command competes with the appliance.
func giveWay() {
	threads, _ := os.ReadDir("/proc/self/task")
	for _, t := range threads {
		if id, err := strconv.Atoi(t.Name()); err == nil {
			_ = syscall.Setpriority(syscall.PRIO_PROCESS, id, niceness)
		}
	}
}

// stream are the lines of an export, and who is told how many have come.
type stream struct {
	lines io.Reader
	tell  func(rows int64)
}

func (a app) toFiles(ctx context.Context, kind string, f *flags, in stream) (table.Result, error) {
	res, err := table.Receive(ctx, in.lines, table.Options{
		Dir: f.to, Kind: kind, NDJSON: f.format == formatNDJSON, Codes: f.codes, Progress: in.tell,
		Metadata: map[string]string{"vitrine.version": a.Version, "vitrine.table": kind},
	})
	if errors.Is(err, table.ErrExists) {
		return res, cli.Hint(fmt.Errorf("export: %w", err), "give each export a folder of its own, or move the old one away")
	}
	if err != nil {
		return res, fmt.Errorf("export: %w", err)
	}
	return res, nil
}

// toRedis writes the lists as the appliance itself would by redis.publish.
func (a app) toRedis(ctx context.Context, _ string, _ *flags, in stream) (table.Result, error) {
	c, err := a.Load()
	if err != nil {
		return table.Result{}, err
	}
	if c.Redis.Address == "" {
		return table.Result{}, cli.Hint(errors.New("export: no Redis is configured"), "name it: --set redis.address=HOST:6379")
	}
	to := appliance.OpenLists(c.Redis, slog.New(slog.DiscardHandler))
	defer to.Close() //nolint:errcheck // what was written is told by Put
	var lists []publish.List
	flush := func() error {
		if err := to.Put(ctx, lists); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return cli.Hint(fmt.Errorf("export: write to %s: %w", c.Redis.Address, err), "look at redis.address, redis.user and redis.password_file, and at whether the server runs")
		}
		lists = lists[:0]
		return nil
	}
	res, err := table.Lists(ctx, in.lines, in.tell, func(user string, items []string) error {
		if lists = append(lists, publish.List{User: user, Items: items}); len(lists) < publish.PutAtOnce {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	return res, err
}

// tell says what was written.
func (a app) tell(kind string, f *flags, res *table.Result, took time.Duration) error {
	to := f.to
	if abs, err := filepath.Abs(f.to); err == nil && to != redisTarget {
		to = abs
	}
	if a.JSON {
		return a.PrintJSON(map[string]any{
			"kind": kind, "to": to, "rows": res.Rows, "failed": res.Failed, "tables": append([]string{}, res.Tables...),
			"files": res.Files, "bytes": res.Bytes, "seconds": took.Seconds(),
		})
	}
	if res.Failed > 0 {
		fmt.Fprintf(a.Err, "%s lists could not be made and are missing; the appliance's metrics say why\n", progress.Count(res.Failed))
	}
	_, err := fmt.Fprintf(a.Out, "exported %s to %s: %s rows in %.1f s (%s rows/s)", kind, to, progress.Count(res.Rows), took.Seconds(),
		progress.Count(int64(float64(res.Rows)/max(took.Seconds(), 1e-3))))
	if err == nil && to != redisTarget {
		_, err = fmt.Fprintf(a.Out, ", %d files, %.1f MB", res.Files, float64(res.Bytes)/1e6)
	}
	if err == nil {
		_, err = fmt.Fprintln(a.Out)
	}
	return err
}
