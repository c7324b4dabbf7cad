package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// Place is where a bundle is kept once it is installed from: going back to an
// older version needs its package.
const Place = "/var/lib/vitrine-bundle"

// repoFile is switched off: only an installation that names it looks at it.
const repoFile = "/etc/yum.repos.d/vitrine-bundle.repo"

// Definition is the text of the .repo file for a folder.
func Definition(dir string) string {
	return fmt.Sprintf(`# Written by vitrine bundle install.
[vitrine-bundle]
name=Vitrine, from a bundle
baseurl=file://%s
gpgkey=file://%s
gpgcheck=1
repo_gpgcheck=1
enabled=0
`, dir, filepath.Join(dir, KeyFile))
}

// Command is what installs: no other repository is looked at, so a machine
// without a network does not wait for one.
func Command() ([]string, error) {
	for _, tool := range []string{"dnf", "yum"} {
		if path, err := exec.LookPath(tool); err == nil {
			return []string{path, "-y", "--disablerepo=*", "--enablerepo=vitrine-bundle", "install", "vitrine"}, nil
		}
	}
	return nil, errors.New("there is neither dnf nor yum")
}

// Install moves the unpacked bundle to Place and installs from there. What
// the tool says goes to out.
func Install(ctx context.Context, unpacked string, out io.Writer) error {
	command, err := Command()
	if err != nil {
		return err
	}
	old := Place + ".old"
	if err := os.RemoveAll(old); err != nil {
		return fmt.Errorf("install: %w", err)
	}
	if err := os.Rename(Place, old); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("install: %w", err)
	}
	if err := os.Rename(unpacked, Place); err != nil {
		return fmt.Errorf("install: %w", err)
	}
	if err := os.WriteFile(repoFile, []byte(Definition(Place)), 0o644); err != nil {
		return fmt.Errorf("install: %w", err)
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("install with %s: %w", filepath.Base(command[0]), err)
	}
	return nil
}
