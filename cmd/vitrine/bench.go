package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"vitrine/appliance/bench"
	"vitrine/appliance/bench/gap"
	"vitrine/cmd/vitrine/cli"
	"vitrine/cmd/vitrine/progress"
)

// benchChild is the hidden command of the benchmark's own child processes.
const benchChild = "child"

func (a *app) benchCommand() *cobra.Command {
	var opt bench.Options
	var out outputs
	var keyFile string
	cmd := &cobra.Command{
		Use:   "bench [all|" + strings.Join(bench.Parts(), "|") + "]",
		Short: "Measure this program on this machine, with a verdict",
		Long: `Measure serving, retrieval, training, ingest, plugins and freshness on generated data, beside
references taken in the same run, and hold them against the product's targets.
Exit 0: every target met; 1: one is missed; 3: the figures cannot be believed.
Without --full it takes about a minute for each part. All means all but peers,
which holds training against other programs that must be installed first. Ingest
reads from a Kafka, too, where --set kafka.brokers=HOST:9092 names one.

With --archive DIR serving, retrieval, training, freshness and recovery are measured on
a shop's own data: DIR is a data folder, its archive or a copy of that, of an appliance
that runs or not. Nothing is written into it. Bars that are set for generated data of a
given size are not judged then; the targets are.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := cli.AtMostOne("part")(cmd, args); err != nil {
				return err
			}
			if len(args) == 1 && args[0] != "all" && !slices.Contains(bench.Parts(), args[0]) {
				return cli.Usage(cmd, "%s has no part %q; it has: all, %s", cli.ShortPath(cmd), args[0], strings.Join(bench.Parts(), ", "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && args[0] != "all" {
				opt.Parts = args
			}
			if opt.Target != "" && opt.Parts != nil && opt.Parts[0] != bench.Serve {
				return cli.Usage(cmd, "--target is measured by the part %s alone", bench.Serve)
			}
			if cmd.Flags().Changed("archive") {
				switch {
				case opt.Archive == "":
					return cli.Usage(cmd, "--archive is empty; it is a data folder or an archive")
				case opt.Target != "":
					return cli.Usage(cmd, "--target has data of its own; --archive is for appliances of ours")
				case opt.Parts != nil && !slices.Contains(bench.ArchiveParts(), opt.Parts[0]):
					return cli.Usage(cmd, "what %s measures does not depend on an archive; --archive is for %s", opt.Parts[0], strings.Join(bench.ArchiveParts(), ", "))
				}
			}
			for _, name := range opt.Only {
				if opt.Target != "" || opt.Parts == nil || !slices.Contains(bench.Cases(opt.Parts[0]), name) {
					return cli.Usage(cmd, "--only %s: without --target %s", name, benchCases())
				}
			}
			if cmd.Flags().Changed("target") && opt.Target == "" {
				return cli.Usage(cmd, "--target is empty; it looks like http://127.0.0.1:8080")
			}
			if keyFile != "" {
				if opt.Target == "" {
					return cli.Usage(cmd, "--key-file is sent to a --target only")
				}
				var err error
				if opt.Key, err = readKey(keyFile); err != nil {
					return err
				}
			}
			for flag, path := range map[string]string{"out": out.json, "html": out.html} { // not after an hour of measuring
				if dir, err := os.Stat(filepath.Dir(path)); err != nil || !dir.IsDir() {
					return cli.Usage(cmd, "--%s %s: there is no folder %s", flag, path, filepath.Dir(path))
				}
			}
			return a.bench(cmd.Context(), opt, out)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opt.Target, "target", "", "URL of a running appliance on this machine to measure instead of one of our own (serve)")
	flags.StringVar(&opt.Archive, "archive", "", "data folder or archive `DIR` to measure on instead of generated data ("+strings.Join(bench.ArchiveParts(), ", ")+")")
	flags.StringSliceVar(&opt.Only, "only", nil, "some of the cases of a part; "+benchCases())
	flags.StringVar(&keyFile, "key-file", "", "file that holds the API key (scope recommend) which --target wants")
	flags.StringVar(&opt.Pairs, "pairs", "", "text file with lines USER ITEM ITEM ..., whose trained factors are searched, too (retrieve)")
	flags.BoolVar(&opt.Full, "full", false, "the targets' own sizes: minutes to hours instead of seconds")
	flags.StringVar(&out.json, "out", "", "write the report to this file as JSON, too")
	flags.StringVar(&out.html, "html", "", "write the report to this file as a page for browsers, too")
	cmd.AddCommand(a.benchCompareCommand(), a.benchChildCommand())
	return cmd
}

// benchCases tells which parts have which cases.
func benchCases() string {
	var all []string
	for _, part := range bench.Parts() {
		if cases := bench.Cases(part); cases != nil {
			all = append(all, part+" has "+strings.Join(cases, ", "))
		}
	}
	return strings.Join(all, "; ")
}

// maxKeyFile is more than a key and the end of its line take.
const maxKeyFile = 1024

// readKey reads an API key from a file: on the command line everybody who may
// list processes would see it.
func readKey(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("bench: read key: %w", err)
	}
	defer f.Close() //nolint:errcheck // read only
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return "", fmt.Errorf("bench: read key: %w", err)
	}
	key := strings.TrimSpace(string(text))
	if key == "" || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("bench: %s is no file with one API key, as vitrine key new prints it", path)
	}
	return key, nil
}

// outputs are the files that the report is written to, "" for none.
type outputs struct{ json, html string }

// bench runs the benchmark and prints its report.
func (a *app) bench(ctx context.Context, opt bench.Options, out outputs) error {
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	bar := progress.New(a.Err)
	opt.Version, opt.ConfigFile, opt.Settings, opt.Progress = a.Version, a.ConfigFile, a.Set, bar.Show
	opt.ChildCommand = func(kind string) []string { return []string{exe, "bench", benchChild, kind} }
	opt.ServeCommand = func(dir string, settings []string) []string {
		command := []string{exe, "bench", benchChild, bench.ChildDaemon, "--data", dir}
		if a.ConfigFile != "" {
			command = append(command, "--config", a.ConfigFile)
		}
		for _, s := range settings {
			command = append(command, "--set", s)
		}
		return command
	}
	r, err := bench.Run(ctx, opt)
	bar.Done()
	if err != nil && opt.Target != "" && ctx.Err() == nil {
		return cli.Hint(err, "vitrine serve prints its address; --key-file FILE sends an API key")
	}
	if err != nil {
		return err
	}
	write := r.WriteText
	if a.JSON {
		write = r.WriteJSON
	}
	err = write(a.Out)
	// Each is tried whatever became of the others.
	if out.json != "" {
		err = errors.Join(err, r.WriteFile(out.json))
	}
	if out.html != "" {
		err = errors.Join(err, r.WriteHTMLFile(out.html))
	}
	if err != nil {
		return err
	}
	return verdict(r.ExitCode())
}

// verdict ends the command with an exit code of the benchmark's; what it stands
// for has been printed.
func verdict(code int) error {
	if code == 0 {
		return nil
	}
	return cli.Told(code)
}

func (a *app) benchCompareCommand() *cobra.Command {
	return &cobra.Command{
		Use: "compare A.json B.json", Short: "Compare two reports, B against A", Args: cli.Exactly("A.json", "B.json"),
		Long: `Hold the figures of B against those of A, relative to each run's own reference
where there is one, and against what the repetitions of both runs differ by.
Exit 1: a figure is worse by more than that, or a target that A met is missed;
3: one of the reports is invalid.`,
		RunE: func(_ *cobra.Command, args []string) error {
			before, err := bench.ReadReport(args[0])
			if err != nil {
				return err
			}
			after, err := bench.ReadReport(args[1])
			if err != nil {
				return err
			}
			c := bench.Compare(before, after)
			if a.JSON {
				err = a.PrintJSON(c)
			} else {
				err = c.WriteText(a.Out)
			}
			if err != nil {
				return err
			}
			return verdict(c.ExitCode())
		},
	}
}

func (a *app) benchChildCommand() *cobra.Command {
	return &cobra.Command{
		Use: benchChild + " KIND", Hidden: true, Args: cli.Exactly("KIND"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == bench.ChildDaemon {
				go gap.Answer(a.In, a.Out)
				return a.serve(cmd.Context(), false)
			}
			return bench.Child(cmd.Context(), args[0], a.In, a.Out)
		},
	}
}
