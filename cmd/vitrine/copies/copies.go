// Package copies has the commands backup and restore.
//
// It knows no other commands.
package copies

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"vitrine/appliance"
	"vitrine/appliance/backup"
	"vitrine/appliance/client"
	"vitrine/cmd/vitrine/cli"
	"vitrine/cmd/vitrine/progress"
)

// app is what the commands of this package share with all others.
type app struct{ *cli.App }

// Commands are all of this package, for the root.
func Commands(shared *cli.App) []*cobra.Command {
	a := app{shared}
	return []*cobra.Command{
		{
			Use: "backup DIR", Short: "Copy the data folder into an empty folder, while the appliance runs or not, and verify the copy",
			Long: `Copy everything that the appliance keeps into an empty folder and read the copy back.
All that was acknowledged before is in it. Events and answers go on meanwhile.`,
			Args: cli.Exactly("DIR"), RunE: func(cmd *cobra.Command, args []string) error { return a.backup(cmd.Context(), args[0]) },
		},
		{
			Use: "restore DIR", Short: "Verify a backup and put it into the empty data folder",
			Long: `Verify the backup in DIR and put it into the data folder of the configuration, which must be empty or not there.
No appliance may run on it; "vitrine serve" starts one on what was restored.`,
			Example: "  vitrine restore /mnt/backups/monday --data /var/lib/vitrine",
			Args:    cli.Exactly("DIR"), RunE: func(cmd *cobra.Command, args []string) error { return a.restore(cmd.Context(), args[0]) },
		},
	}
}

func (a app) backup(ctx context.Context, dir string) error {
	var m *backup.Manifest
	bar := progress.New(a.Err)
	defer bar.Done()
	err := a.With(ctx, "backup", func(cl *client.Client) error {
		stream, err := cl.Backup(ctx)
		if err != nil {
			return fmt.Errorf("backup: %w", err)
		}
		defer stream.Close() //nolint:errcheck // read only
		m, err = backup.Receive(ctx, stream, dir, func(done, total int64) { bar.Show("backup", done, total) })
		if errors.Is(err, backup.ErrNotEmpty) {
			return cli.Hint(err, "give each backup a folder of its own")
		}
		return err
	})
	bar.Done()
	if err != nil {
		return err
	}
	return a.tell(m, dir, "backed up and verified: %s, %d files, %.1f MB, up to record frame %d\n")
}

func (a app) restore(ctx context.Context, dir string) error {
	c, err := a.LoadUnguarded()
	if err != nil {
		return err
	}
	bar := progress.New(a.Err)
	m, err := appliance.Restore(ctx, c, dir, a.Version, func(done, total int64) { bar.Show("restore", done, total) })
	bar.Done()
	if err != nil {
		return err
	}
	return a.tell(m, c.Data.Dir, "verified and restored: %s, %d files, %.1f MB, up to record frame %d\n")
}

func (a app) tell(m *backup.Manifest, dir, text string) error {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	if a.JSON {
		return a.PrintJSON(map[string]any{
			"dir": dir, "files": len(m.Files), "bytes": m.Bytes(), "position": m.Position, "created_at": m.Created, "vitrine": m.Vitrine, "verified": true,
		})
	}
	_, err := fmt.Fprintf(a.Out, text, dir, len(m.Files), float64(m.Bytes())/1e6, m.Position)
	return err
}
