package intake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"vitrine/appliance/client"
	"vitrine/cmd/vitrine/cli"
	"vitrine/cmd/vitrine/progress"
	"vitrine/internal/disk"
)

// importFlags are the flags of vitrine import.
type importFlags struct {
	items, users                                  bool
	format, mapping, where, removeWhere, ts, zone string
}

func (a app) importCommand() *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "import FILE...",
		Short: "Load events, or the attributes of items or users, into the running appliance",
		Long: `Load CSV, TSV or NDJSON files, plain or compressed (.gz, .xz, .zst), into the running appliance. - is standard input.
Importing the same rows again adds nothing, also from a renamed or longer file.
Broken rows do not stop the import; "vitrine deadletters list" shows them.`,
		Example: `  vitrine import --map user_id=Customer,item_id=Sku,event_type==purchase,ts=Date,attr.name=Title orders.csv.gz
  vitrine import --items products.ndjson
  mysql --batch -e 'select ...' shop | vitrine import --format tsv -`,
		Args: cli.AtLeastOne("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.items && f.users {
				return cli.Usage(cmd, "--items and --users exclude each other: a file holds one or the other")
			}
			return a.With(cmd.Context(), "import", func(cl *client.Client) error {
				return a.importFiles(cmd.Context(), cl, f, args)
			})
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.items, "items", false, "the rows are attributes of items: item_id, and every other column")
	flags.BoolVar(&f.users, "users", false, "the rows are attributes of users: user_id, and every other column")
	flags.StringVar(&f.format, "format", "", "`FORMAT` of the files: csv, tsv or ndjson (guessed when not given)")
	flags.StringVar(&f.mapping, "map", "", "which `COLUMNS` are what: user_id=Col,item_id=Col,event_type==const,ts=Col,value=Col,attr.NAME=Col")
	flags.StringVar(&f.where, "where", "", "keep the rows for which this `EXPRESSION` holds")
	flags.StringVar(&f.removeWhere, "remove-where", "", "turn the rows for which this `EXPRESSION` holds into remove events")
	flags.StringVar(&f.ts, "ts-format", "", "`FORM` of the times where they are not understood by themselves, such as %d/%m/%Y")
	flags.StringVar(&f.zone, "tz", "", "time `ZONE` of times that name none (default UTC)")
	return cmd
}

func (a app) importFiles(ctx context.Context, cl *client.Client, f importFlags, files []string) error {
	var sum client.ImportResult
	for _, name := range files {
		result, err := a.importFile(ctx, cl, f, name)
		if result != nil {
			sum.Read += result.Read
			sum.Accepted += result.Accepted
			sum.Duplicate += result.Duplicate
			sum.Rejected += result.Rejected
			sum.Skipped += result.Skipped
			sum.Removes += result.Removes
			sum.Seconds += result.Seconds
		}
		if err != nil {
			if sum.Read > 0 {
				_ = a.printImport(sum) // what was taken before the fault
			}
			return fmt.Errorf("import %s: %w", name, err)
		}
	}
	return a.printImport(sum)
}

// importFile streams one file; the result is not nil where rows were read.
func (a app) importFile(ctx context.Context, cl *client.Client, f importFlags, name string) (*client.ImportResult, error) {
	in, err := openInput(name)
	if err != nil {
		return nil, err
	}
	defer in.Close() //nolint:errcheck // read only
	// A pipe that has nothing to say would hold Ctrl-C up: the request ends
	// only when its body does.
	defer context.AfterFunc(ctx, func() { in.Close() })() //nolint:errcheck // read only
	params := client.ImportFileParams{
		Name: given(in.name), Map: given(f.mapping), Where: given(f.where), RemoveWhere: given(f.removeWhere),
		TSFormat: given(f.ts), Tz: given(f.zone), Format: given(client.ImportFileParamsFormat(f.format)),
	}
	switch {
	case f.items:
		params.Kind = given(client.Items)
	case f.users:
		params.Kind = given(client.Users)
	}
	bar := progress.New(a.Err)
	body := &countingReader{r: in, seen: func(n int64) { bar.Show("import", n, in.size) }}
	result, err := cl.Import(ctx, body, params)
	bar.Done()
	if err == nil {
		return result, nil
	}
	var problem *client.Problem
	switch {
	case errors.As(err, &problem) && refusedFlag(problem.Code):
		return nil, cli.Hint(cli.AsUsage(err), cmp.Or(problem.Hint, "see: vitrine import --help"))
	case errors.As(err, &problem):
		return problem.Counts, err
	case ctx.Err() == nil:
		return nil, cli.Hint(
			fmt.Errorf("the appliance went away during the import (%w)", err),
			"look at its log, start it, and run the same import again: rows that are in already are not doubled",
		)
	}
	return nil, cli.Hint(errors.New("stopped before it was done"), "run the same import again to go on: rows that are in already are not doubled")
}

// stdin is how standard input is named, where a file is expected.
const stdin = "-"

// input is what is imported: a file, or standard input.
type input struct {
	io.ReadCloser
	// name is how the appliance knows it.
	name string
	size int64
}

func openInput(name string) (*input, error) {
	if name == stdin {
		return standardInput(), nil
	}
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, cli.Hint(errors.New("there is no such file"), "the path counts from "+cli.WorkingDir()+"; - is standard input")
	}
	if err != nil {
		return nil, disk.WithoutPath(err)
	}
	info, err := file.Stat()
	switch {
	case err != nil:
		err = disk.WithoutPath(err)
	case info.IsDir():
		err = cli.Hint(errors.New("it is a folder"), "name the files in it")
	default:
		return &input{file, filepath.Base(name), info.Size()}, nil
	}
	file.Close() //nolint:errcheck // read only
	return nil, err
}

// standardInput can be closed while a read of it hangs, unlike os.Stdin. It is
// known by the time: a row that is refused is one by name and line, and two
// inputs have nothing to do with each other.
func standardInput() *input {
	out, in := io.Pipe()
	go func() {
		_, err := io.Copy(in, os.Stdin)
		in.CloseWithError(err) // nil is the end of the input
	}()
	return &input{out, "stdin-" + time.Now().UTC().Format("20060102T150405.000Z"), 0}
}

// refusedFlag tells the problem codes that mean a flag's value is wrong in
// itself, whatever the file holds.
func refusedFlag(code string) bool {
	switch code {
	case "invalid_map", "invalid_format", "invalid_expression", "invalid_tz", "invalid_ts_format":
		return true
	}
	return false
}

func (a app) printImport(sum client.ImportResult) error {
	if a.JSON {
		return a.PrintJSON(sum)
	}
	rate := float64(sum.Read) / max(sum.Seconds, 1e-9)
	fmt.Fprintf(a.Out, "read %s rows in %.2f s (%s rows/s)\n", progress.Count(sum.Read), sum.Seconds, progress.Count(int64(rate)))
	for _, line := range []struct {
		name string
		n    int64
		note string
	}{
		{"accepted", sum.Accepted, ""},
		{"duplicate", sum.Duplicate, "here before"},
		{"rejected", sum.Rejected, "see: vitrine deadletters list"},
		{"skipped", sum.Skipped, "left out by --where"},
	} {
		if line.n == 0 {
			line.note = ""
		}
		fmt.Fprintf(a.Out, "  %-10s %12s  %s\n", line.name, progress.Count(line.n), line.note)
	}
	if sum.Removes > 0 {
		fmt.Fprintf(a.Out, "%s of the accepted and duplicate rows remove an earlier interaction\n", progress.Count(sum.Removes))
	}
	return nil
}

// given is a pointer to v, or nil where v is the zero value.
func given[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// countingReader tells how much was read.
type countingReader struct {
	r    io.Reader
	n    int64
	seen func(int64)
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	c.seen(c.n)
	return n, err
}
