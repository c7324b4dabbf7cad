package setup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"vitrine/installer/bundle"
)

func (s *Shared) bundle() *cobra.Command {
	return s.Group(&cobra.Command{Use: "bundle", Short: "Installation without a network: pack the repository, verify, install"},
		s.bundleCreate(), s.bundleVerify(), s.bundleInstall())
}

// oneFile wants the bundle's name and nothing else.
func (s *Shared) oneFile(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return s.Usage(cmd, "bundle %s takes exactly: FILE", cmd.Name())
	}
	return nil
}

func (s *Shared) bundleCreate() *cobra.Command {
	var src bundle.Source
	cmd := &cobra.Command{Use: "create FILE", Short: "Pack a repository (make repo) with this program, checksums and their signature", Args: s.oneFile}
	cmd.Flags().StringVar(&src.Repo, "repo", "dist/repo", "the repository's `DIR`")
	cmd.Flags().StringVar(&src.Key, "key", "", "`FILE` of the secret key that signs")
	dry := cmd.Flags().Bool("dry-run", false, "say what would be packed, and write nothing")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if src.Key == "" {
			return s.Usage(cmd, "--key must name the file of the secret key that signs")
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
		if *s.JSON {
			return s.printJSON(map[string]any{"file": args[0], "files": files, "written": !*dry})
		}
		fmt.Fprintf(s.Out, "%s: %d files\n", args[0], len(files))
		for _, n := range files {
			fmt.Fprintln(s.Out, "  "+n)
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
		return "", nil, fault{fmt.Errorf("verify %s: %w", file, err), "nothing was installed; copy the bundle again, and name its maker's key with --key"}
	}
	return dir, c, nil
}

func (s *Shared) bundleVerify() *cobra.Command {
	cmd := &cobra.Command{Use: "verify FILE", Short: "Check every file of a bundle, and who signed it", Args: s.oneFile}
	key := cmd.Flags().String("key", "", "`FILE` of the public key that must have signed (default: the bundle's own, which proves less)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		dir, c, err := unpacked(cmd, args[0], *key, "")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		return s.printContents(c)
	}
	return cmd
}

func (s *Shared) printContents(c *bundle.Contents) error {
	if *s.JSON {
		return s.printJSON(c)
	}
	fmt.Fprintf(s.Out, "%d files, all as they were packed; signed by %s\n", len(c.Files), c.Signer)
	if !c.Trusted {
		fmt.Fprintln(s.Out, "the key came with the bundle: compare its fingerprint with the one you know, or give --key FILE")
	}
	return nil
}

func (s *Shared) bundleInstall() *cobra.Command {
	cmd := &cobra.Command{Use: "install FILE", Short: "Verify a bundle and install the package from it, with no other repository", Args: s.oneFile}
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
			if *s.JSON {
				return s.printJSON(map[string]any{"signer": c.Signer, "trusted": c.Trusted, "place": bundle.Place, "command": command})
			}
			if err := s.printContents(c); err != nil {
				return err
			}
			_, err = fmt.Fprintf(s.Out, "would be kept in %s and installed with: %s\n", bundle.Place, strings.Join(command, " "))
			return err
		}
		if err := bundle.Install(cmd.Context(), dir, s.Err); err != nil {
			return asRoot(err)
		}
		return s.printContents(c)
	}
	return cmd
}
