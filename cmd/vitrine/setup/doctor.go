package setup

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"vitrine/appliance"
	"vitrine/appliance/client"
	"vitrine/cmd/vitrine/cli"
	"vitrine/installer/doctor"
)

func (a app) doctor() *cobra.Command {
	cmd := &cobra.Command{Use: "doctor", Short: "Look at the machine and the running appliance; pack what a helper needs", Args: cli.Exactly()}
	archive := cmd.Flags().String("archive", "", "write what was found to `FILE`.tar.gz, without keys, ids of users and items, and addresses")
	language := languageFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		opt := doctor.Options{Version: a.Version}
		var err error
		if opt.Language, err = language(); err != nil {
			return err
		}
		if opt.Config, err = a.LoadUnguarded(); err != nil {
			return err
		}
		opt.Client = client.NewSocket(appliance.SocketPath(opt.Config))
		defer opt.Client.Close()
		found := doctor.Look(cmd.Context(), opt)
		if *archive != "" {
			if err := pack(&found, *archive); err != nil {
				return err
			}
		}
		if a.JSON {
			err = a.PrintJSON(found.Report)
		} else {
			printRows(a.Out, found.Rows)
		}
		if err == nil && !found.OK {
			return cli.Failed
		}
		return err
	}
	return cmd
}

// pack writes the archive; it is for its owner alone, and replaces nothing.
func pack(found *doctor.Findings, name string) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return asRoot(fmt.Errorf("write archive: %w", err))
	}
	if err := found.Archive(f, time.Now()); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
