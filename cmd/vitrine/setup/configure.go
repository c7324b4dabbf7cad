package setup

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"vitrine/appliance/config"
	"vitrine/cmd/vitrine/cli"
	"vitrine/installer/preflight"
	"vitrine/installer/settings"
	"vitrine/installer/words"
)

// environmentFile is what the unit starts the service with.
const environmentFile = "/etc/sysconfig/vitrine"

// question is a key that is asked for.
type question struct {
	key  string
	text words.Text
}

// questions are asked in this order, each if this version has the key.
func questions() []question {
	return []question{
		{"http.listen", words.New("Address of the API (others are served beyond 127.0.0.1, with API keys)")},
		{"http.admin_listen", words.New("Address of metrics and health")},
		{"kafka.brokers", words.New("Kafka brokers, HOST:PORT separated by commas (empty: events come by HTTP and file)")},
		{"redis.address", words.New("Redis that lists are published to, HOST:PORT (empty: none)")},
		{"redis.publish", words.New("Keep the users' lists in that Redis (true, false)")},
		{"archive.url", words.New("Where the Parquet files lie")},
		{"train.schedule", words.New("How often a new model is trained (1h, 6h, off)")},
		{"recommend.exclude_seen", words.New("Leave out what a user has already seen (true, false)")},
		{"log.level", words.New("Log level (debug, info, warn, error)")},
	}
}

// configuring are the flags of one run.
type configuring struct {
	app
	answers         string
	demo, dry, skip bool
	language        words.Language
}

func (a app) configure() *cobra.Command {
	r := &configuring{app: a}
	cmd := &cobra.Command{Use: "configure", Short: "Ask for the settings of this installation, test them, and write them to conf.d", Args: cli.Exactly()}
	cmd.Flags().StringVar(&r.answers, "answers", "", "take the settings from `FILE` (TOML, the keys of the configuration) instead of asking")
	cmd.Flags().BoolVar(&r.demo, "demo", false, "only let the service fill itself with the demo shop")
	cmd.Flags().BoolVar(&r.dry, "dry-run", false, "show what would be written, and write nothing")
	cmd.Flags().BoolVar(&r.skip, "skip-tests", false, "write without trying the connections")
	language := languageFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var err error
		if r.language, err = language(); err != nil {
			return err
		}
		if r.demo {
			return r.switchDemo()
		}
		return r.run(cmd.Context())
	}
	return cmd
}

func (r *configuring) switchDemo() error {
	if !r.dry {
		if err := settings.Demo(environmentFile); errors.Is(err, os.ErrNotExist) {
			return cli.Hint(err, "without the package, type: vitrine serve --demo")
		} else if err != nil {
			return asRoot(err)
		}
	}
	if r.JSON {
		return r.PrintJSON(map[string]any{"file": environmentFile, "demo": true, "written": !r.dry})
	}
	_, err := fmt.Fprintln(r.Out, "next: systemctl start vitrine")
	return err
}

func (r *configuring) run(ctx context.Context) error {
	file := settings.File(r.ConfigFile)
	text, c, err := r.gather(file)
	if err != nil {
		return err
	}
	if !r.skip {
		if err := r.try(ctx, c); err != nil {
			return err
		}
	}
	before, _ := os.ReadFile(file) // none is an empty one
	diff := settings.Diff(string(before), text)
	if !r.JSON {
		fmt.Fprintf(r.Out, "%s:\n", file)
		for _, l := range diff {
			fmt.Fprintln(r.Out, "  "+l)
		}
	}
	if !r.dry && len(diff) > 0 {
		check := func() error { _, err := r.Load(); return err }
		if err := settings.Write(file, text, check); err != nil {
			return asRoot(err)
		}
	}
	if r.JSON {
		return r.PrintJSON(map[string]any{"file": file, "diff": append([]string{}, diff...), "written": !r.dry && len(diff) > 0})
	}
	switch {
	case len(diff) == 0:
		fmt.Fprintln(r.Out, "nothing to change")
	case r.dry:
		fmt.Fprintln(r.Out, "nothing was written")
	default:
		fmt.Fprintln(r.Out, "written; next: systemctl start vitrine, or where it runs: systemctl reload vitrine")
	}
	return nil
}

// gather is the text of the drop-in and what it sets.
func (r *configuring) gather(file string) (string, *config.Config, error) {
	if r.answers != "" {
		return settings.FromFile(r.answers)
	}
	before, err := settings.Current(file)
	if err != nil {
		return "", nil, err
	}
	effective, err := r.LoadUnguarded()
	if err != nil {
		return "", nil, err
	}
	answers, err := r.ask(effective)
	if err != nil {
		return "", nil, err
	}
	return settings.FromAnswers(before, answers)
}

// ask goes through the questions on plain lines; an empty answer keeps what is
// in force, one that is refused is asked for again.
func (r *configuring) ask(c *config.Config) ([]string, error) {
	in := bufio.NewScanner(r.In)
	var answers []string
	for _, q := range questions() {
		now, known := settings.Value(c, q.key)
		if !known {
			continue
		}
		for {
			fmt.Fprintf(r.Err, "%s [%s]: ", q.text.In(r.language), strings.Trim(now, `"`))
			if !in.Scan() {
				if err := in.Err(); err != nil {
					return nil, fmt.Errorf("read answers: %w", err)
				}
				return nil, cli.Hint(errors.New("the input ended before all questions were answered; nothing was written"), "without a terminal: vitrine configure --answers FILE")
			}
			answer := strings.TrimSpace(in.Text())
			if answer == "" {
				break
			}
			if _, err := c.With([]string{q.key + "=" + answer}); err != nil {
				fmt.Fprintln(r.Err, "  "+err.Error())
				continue
			}
			answers = append(answers, q.key+"="+answer)
			break
		}
	}
	return answers, nil
}

// try looks at every service that the settings name.
func (r *configuring) try(ctx context.Context, c *config.Config) error {
	var failed error
	hint := "nothing was written; mend the address, or write it all the same with --skip-tests"
	for _, s := range preflight.Services(c) {
		found, err := preflight.Reach(ctx, s)
		if err != nil {
			var own interface{ Hint() string }
			if errors.As(err, &own) && own.Hint() != "" {
				hint = "nothing was written; " + own.Hint() + "; or write it all the same with --skip-tests"
			}
			failed = errors.Join(failed, fmt.Errorf("%s does not serve at %s: %w", s.ID, s.Address, err))
			continue
		}
		if found != "" {
			found = ": " + found
		}
		fmt.Fprintf(r.Err, "%s answers at %s%s\n", s.ID, s.Address, found)
	}
	if failed != nil {
		return cli.Hint(failed, hint)
	}
	return nil
}
