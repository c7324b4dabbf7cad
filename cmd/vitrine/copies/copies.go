// Package copies has the commands backup and restore.
//
// It knows no other part of the command line; what the commands share comes in
// Shared.
package copies

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"vitrine/appliance"
	"vitrine/appliance/backup"
	"vitrine/appliance/client"
	"vitrine/appliance/config"
	"vitrine/cmd/vitrine/progress"
)

// Shared is what all commands of the program have.
type Shared struct {
	Out, Err io.Writer
	// JSON asks for machine-readable output, which Print writes.
	JSON  *bool
	Print func(v any) error
	// Load reads the effective configuration, also one that listens to others
	// while there are no keys: these are in the backup.
	Load func() (*config.Config, error)
	// With calls do with a client of the appliance, running or not.
	With func(ctx context.Context, what string, do func(*client.Client) error) error
	// Dir is the check of one argument.
	Dir cobra.PositionalArgs
	// Hint makes an error that says what to type next.
	Hint func(err error, hint string) error
	// Version is the program's.
	Version string
}

// Commands are all of this package, for the root.
func Commands(s *Shared) []*cobra.Command {
	return []*cobra.Command{
		{
			Use: "backup DIR", Short: "Copy the data folder into an empty folder, while the appliance runs or not, and verify the copy",
			Long: `Copy everything that the appliance keeps into an empty folder and read the copy back.
All that was acknowledged before is in it. Events and answers go on meanwhile.`,
			Args: s.Dir, RunE: func(cmd *cobra.Command, args []string) error { return s.backup(cmd.Context(), args[0]) },
		},
		{
			Use: "restore DIR", Short: "Verify a backup and put it into the empty data folder",
			Long: `Verify the backup in DIR and put it into the data folder of the configuration, which must be empty or not there.
No appliance may run on it; "vitrine serve" starts one on what was restored.`,
			Example: "  vitrine restore /mnt/backups/monday --data /var/lib/vitrine",
			Args:    s.Dir, RunE: func(cmd *cobra.Command, args []string) error { return s.restore(cmd.Context(), args[0]) },
		},
	}
}

func (s *Shared) backup(ctx context.Context, dir string) error {
	var m *backup.Manifest
	bar := progress.New(s.Err)
	defer bar.Done()
	err := s.With(ctx, "backup", func(cl *client.Client) error {
		stream, err := cl.Backup(ctx)
		if err != nil {
			return fmt.Errorf("backup: %w", err)
		}
		defer stream.Close() //nolint:errcheck // read only
		m, err = backup.Receive(ctx, stream, dir, func(done, total int64) { bar.Show("backup", done, total) })
		if errors.Is(err, backup.ErrNotEmpty) {
			return s.Hint(err, "give each backup a folder of its own")
		}
		return err
	})
	bar.Done()
	if err != nil {
		return err
	}
	return s.tell(m, dir, "backed up and verified: %s, %d files, %.1f MB, up to record frame %d\n")
}

func (s *Shared) restore(ctx context.Context, dir string) error {
	c, err := s.Load()
	if err != nil {
		return err
	}
	bar := progress.New(s.Err)
	m, err := appliance.Restore(ctx, c, dir, s.Version, func(done, total int64) { bar.Show("restore", done, total) })
	bar.Done()
	if err != nil {
		return err
	}
	return s.tell(m, c.Data.Dir, "verified and restored: %s, %d files, %.1f MB, up to record frame %d\n")
}

func (s *Shared) tell(m *backup.Manifest, dir, text string) error {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	if *s.JSON {
		return s.Print(map[string]any{
			"dir": dir, "files": len(m.Files), "bytes": m.Bytes(), "position": m.Position, "created_at": m.Created, "vitrine": m.Vitrine, "verified": true,
		})
	}
	_, err := fmt.Fprintf(s.Out, text, dir, len(m.Files), float64(m.Bytes())/1e6, m.Position)
	return err
}
