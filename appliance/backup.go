package appliance

import (
	"context"
	"errors"
	"io"

	"vitrine/appliance/backup"
	"vitrine/appliance/config"
	"vitrine/appliance/datadir"
)

// Backup writes a copy of the data folder as a tar stream.
func (a *Appliance) Backup(ctx context.Context, w io.Writer) error {
	return backup.Write(ctx, w, backup.Source{
		Places: places(a.config), Flush: a.parts.follower.Flush, Version: a.opt.Version, Now: a.now,
	})
}

func places(c *config.Config) backup.Places {
	return backup.Places{Data: c.Data.Dir, Archive: c.ArchiveDir(), Plugins: c.PluginsDir(), Keys: c.KeysPath()}
}

// Restore puts a backup into the empty data folder of a configuration, and
// whatever lies elsewhere by it into its place.
func Restore(ctx context.Context, c *config.Config, dir, version string, tell backup.Progress) (*backup.Manifest, error) {
	f, err := datadir.Lock(c.Data.Dir)
	if err != nil {
		return nil, err
	}
	m, err := backup.Restore(ctx, dir, backup.Into{Places: places(c), Version: version}, tell)
	if errors.Is(err, backup.ErrNotEmpty) {
		err = &Fault{Op: "restore", Err: err, Hint: "give a folder that is empty or not there with --data DIR, or move the old one away"}
	}
	return m, errors.Join(err, f.Release())
}
