package plugins

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"vitrine/cmd/vitrine/cli"
)

func (a app) buildCommand() *cobra.Command {
	return &cobra.Command{
		Use: "build [DIR]", Short: "Build the Go plugin in DIR (default here) as DIR's name.wasm",
		Args: cli.AtMostOne("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			dir, err := filepath.Abs(dir)
			if err != nil {
				return fmt.Errorf("plugin build: %w", err)
			}
			out := filepath.Join(dir, filepath.Base(dir)+moduleSuffix)
			build := exec.CommandContext(cmd.Context(), "go", "build", "-buildvcs=false", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-o", out, ".")
			build.Dir = dir
			build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
			build.Stderr, build.Stdout = a.Err, a.Err
			if err := build.Run(); err != nil {
				if errors.Is(err, exec.ErrNotFound) {
					return cli.Hint(errors.New("plugin build: there is no go command"), "install Go 1.24 or newer")
				}
				return cli.Hint(fmt.Errorf("plugin build: the go command failed in %s: %w", dir, err), "DIR is a folder with a main package that imports vitrine/sdk; docs/PLUGINS.md has one")
			}
			if a.JSON {
				return a.PrintJSON(map[string]string{"wasm": out})
			}
			_, err = fmt.Fprintf(a.Out, "built %s; put it to work with: vitrine plugin install %s\n", out, out)
			return err
		},
	}
}
