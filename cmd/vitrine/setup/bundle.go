package setup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"vitrine/cmd/vitrine/cli"
	"vitrine/installer/bundle"
)

func (a app) bundle() *cobra.Command {
	return cli.Group(&cobra.Command{Use: "bundle", Short: "Installation without a network: pack the repository, verify, install"},
		a.bundleCreate(), a.bundleVerify(), a.bundleInstall())
}

func (a app) bundleCreate() *cobra.Command {
	var src bundle.Source
	cmd := &cobra.Command{Use: "create FILE", Short: "Pack a repository (make repo) with this program, checksums and their signature", Args: cli.Exactly("FILE")}
	cmd.Flags().StringVar(&src.Repo, "repo", "dist/repo", "the repository's `DIR`")
	cmd.Flags().StringVar(&src.Key, "key", "", "`FILE` of the secret key that signs")
	dry := cmd.Flags().Bool("dry-run", false, "say what would be packed, and write nothing")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if src.Key == "" {
			return cli.Usage(cmd, "--key must name the file of the secret key that signs")
		}
		var err error
		if src.Program, err = os.Executable(); err != nil {
			return fmt.Errorf("find this program: %w", err)
		}
		name := args[0] + ".new"
		if *dry {
			name = os.DevNull
		}
		f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
		if err != nil {
			return fmt.Errorf("write bundle: %w", err)
		}
		files, err := bundle.Create(cmd.Context(), f, src)
		err = errors.Join(err, f.Close())
		switch {
		case *dry:
		case err != nil:
			_ = os.Remove(name)
		default:
			err = os.Rename(name, args[0])
		}
		if err != nil {
			return err
		}
		if a.JSON {
			return a.PrintJSON(map[string]any{"file": args[0], "files": files, "written": !*dry})
		}
		fmt.Fprintf(a.Out, "%s: %d files\n", args[0], len(files))
		for _, n := range files {
			fmt.Fprintln(a.Out, "  "+n)
		}
		return nil
	}
	return cmd
}

// unpacked verifies a bundle in a folder beside where it will be kept.
func unpacked(cmd *cobra.Command, file, key, parent string) (dir string, c *bundle.Contents, err error) {
	f, err := os.Open(file)
	if err != nil {
		return "", nil, fmt.Errorf("read bundle: %w", err)
	}
	defer f.Close()
	if dir, err = os.MkdirTemp(parent, "vitrine-bundle-"); err != nil {
		return "", nil, fmt.Errorf("unpack: %w", err)
	}
	c, err = bundle.Unpack(cmd.Context(), f, dir, key)
	if err != nil {
		_ = os.RemoveAll(dir)
		return "", nil, cli.Hint(fmt.Errorf("verify %s: %w", file, err), "nothing was installed; copy the bundle again, and name its maker's key with --key")
	}
	return dir, c, nil
}

func (a app) bundleVerify() *cobra.Command {
	cmd := &cobra.Command{Use: "verify FILE", Short: "Check every file of a bundle, and who signed it", Args: cli.Exactly("FILE")}
	key := cmd.Flags().String("key", "", "`FILE` of the public key that must have signed (default: the bundle's own, which proves less)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		dir, c, err := unpacked(cmd, args[0], *key, "")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		return a.printContents(c)
	}
	return cmd
}

func (a app) printContents(c *bundle.Contents) error {
	if a.JSON {
		return a.PrintJSON(c)
	}
	fmt.Fprintf(a.Out, "%d files, all as they were packed; signed by %s\n", len(c.Files), c.Signer)
	if !c.Trusted {
		fmt.Fprintln(a.Out, "the key came with the bundle: compare its fingerprint with the one you know, or give --key FILE")
	}
	return nil
}

func (a app) bundleInstall() *cobra.Command {
	cmd := &cobra.Command{Use: "install FILE", Short: "Verify a bundle and install the package from it, with no other repository", Args: cli.Exactly("FILE")}
	key := cmd.Flags().String("key", "", "`FILE` of the public key that must have signed (default: the bundle's own, which proves less)")
	dry := cmd.Flags().Bool("dry-run", false, "verify, say what would be done, and change nothing")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		parent := filepath.Dir(bundle.Place)
		if *dry {
			parent = ""
		}
		dir, c, err := unpacked(cmd, args[0], *key, parent)
		if err != nil {
			return asRoot(err)
		}
		defer os.RemoveAll(dir) // what was installed has been moved away
		if *dry {
			command, err := bundle.Command()
			if err != nil {
				return err
			}
			if a.JSON {
				return a.PrintJSON(map[string]any{"signer": c.Signer, "trusted": c.Trusted, "place": bundle.Place, "command": command})
			}
			if err := a.printContents(c); err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.Out, "would be kept in %s and installed with: %s\n", bundle.Place, strings.Join(command, " "))
			return err
		}
		if err := bundle.Install(cmd.Context(), dir, a.Err); err != nil {
			return asRoot(err)
		}
		return a.printContents(c)
	}
	return cmd
}
