// Package bundle packs the package repository for machines without a network:
// one tar file of packages, metadata, key and this program, with checksums and
// their signature. It verifies such a file, and installs from it.
//
// Signatures are made and checked by the system's gpg, packages installed by
// its yum or dnf. It imports the standard library alone.
package bundle

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Names in a bundle.
const (
	KeyFile   = "RPM-GPG-KEY-vitrine"
	sums      = "SHA256SUMS"
	signature = "SHA256SUMS.asc"
	program   = "vitrine"
)

// maxBundle bounds what is unpacked.
const maxBundle = 4 << 30

// Source says what is packed.
type Source struct {
	// Repo is the folder of the repository, as make repo leaves it.
	Repo string
	// Program is the binary that installs from the bundle.
	Program string
	// Key is the file of the secret key that signs.
	Key string
}

// Create writes a bundle and gives the names in it. The same repository, key
// and program make the same bundle but for the signature's time.
func Create(ctx context.Context, out io.Writer, src Source) ([]string, error) {
	files := map[string]string{program: src.Program}
	err := filepath.WalkDir(src.Repo, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		inside, err := filepath.Rel(src.Repo, name)
		files[filepath.ToSlash(inside)] = name
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read repository: %w", err)
	}
	for _, must := range []string{KeyFile, "repodata/repomd.xml", "repodata/repomd.xml.asc"} {
		if files[must] == "" {
			return nil, fmt.Errorf("%s is no signed repository: it has no %s", src.Repo, must)
		}
	}
	names := slices.Sorted(maps.Keys(files))
	var list strings.Builder
	w := tar.NewWriter(out)
	for _, name := range names {
		digest, err := pack(w, name, files[name])
		if err != nil {
			return nil, fmt.Errorf("pack %s: %w", name, err)
		}
		fmt.Fprintf(&list, "%s  %s\n", digest, name)
	}
	signed, err := sign(ctx, src.Key, list.String())
	if err != nil {
		return nil, err
	}
	for _, f := range []struct{ name, text string }{{sums, list.String()}, {signature, signed}} {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.text)), ModTime: time.Unix(0, 0)}); err != nil {
			return nil, fmt.Errorf("pack %s: %w", f.name, err)
		}
		if _, err := io.WriteString(w, f.text); err != nil {
			return nil, fmt.Errorf("pack %s: %w", f.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	return append(names, sums, signature), nil
}

func pack(w *tar.Writer, name, file string) (digest string, err error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	mode := int64(0o644)
	if name == program {
		mode = 0o755
	}
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: info.Size(), ModTime: time.Unix(0, 0)}); err != nil {
		return "", err
	}
	h := sha256.New()
	if _, err := io.Copy(io.MultiWriter(w, h), f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Contents is a bundle that was unpacked and found to be whole.
type Contents struct {
	Files []string `json:"files"`
	// Signer is the fingerprint of the key that signed.
	Signer string `json:"signer"`
	// Trusted tells whether the key was given by the caller; else it came with
	// the bundle, and proves only that the bundle is whole.
	Trusted bool `json:"trusted"`
}

// Unpack reads a bundle into an empty folder and verifies it: every file has
// its checksum, none is missing or added, and the list is signed by key, the
// file of a public key; "" takes the one in the bundle.
func Unpack(ctx context.Context, in io.Reader, dir, key string) (*Contents, error) {
	found, err := unpack(in, dir)
	if err != nil {
		return nil, err
	}
	list, err := os.ReadFile(filepath.Join(dir, sums))
	if err != nil {
		return nil, errors.New("this is no bundle, or half of one: it has no " + sums)
	}
	out := &Contents{Trusted: key != ""}
	if key == "" {
		key = filepath.Join(dir, KeyFile)
	}
	if out.Signer, err = verify(ctx, key, filepath.Join(dir, sums), filepath.Join(dir, signature)); err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(list)) {
		digest, name, ok := strings.Cut(strings.TrimSpace(line), "  ")
		switch {
		case !ok:
			return nil, fmt.Errorf("%s has a line that is none: %q", sums, line)
		case found[name] == "":
			return nil, fmt.Errorf("%s is missing in the bundle", name)
		case found[name] != digest:
			return nil, fmt.Errorf("%s was changed: its SHA-256 is %s, not %s", name, found[name], digest)
		}
		out.Files = append(out.Files, name)
		delete(found, name)
	}
	delete(found, sums)
	delete(found, signature)
	for name := range found {
		return nil, fmt.Errorf("%s is in the bundle and not in its list", name)
	}
	return out, nil
}

// unpack writes the files below dir, and nowhere else, and gives their digests.
func unpack(in io.Reader, dir string) (map[string]string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	defer root.Close()
	found, left := map[string]string{}, int64(maxBundle)
	r := tar.NewReader(in)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, fmt.Errorf("the bundle is torn, as by a download that broke off: %w", err)
		}
		if left -= h.Size; h.Typeflag != tar.TypeReg || path.Clean(h.Name) != h.Name || !fs.ValidPath(h.Name) || found[h.Name] != "" || left < 0 {
			return nil, fmt.Errorf("%q has no place in a bundle", h.Name)
		}
		if err := root.MkdirAll(path.Dir(h.Name), 0o755); err != nil {
			return nil, fmt.Errorf("unpack: %w", err)
		}
		f, err := root.OpenFile(h.Name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fs.FileMode(h.Mode)&0o755)
		if err != nil {
			return nil, fmt.Errorf("unpack: %w", err)
		}
		digest := sha256.New()
		_, err = io.Copy(io.MultiWriter(f, digest), r)
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, fmt.Errorf("the bundle is torn, as by a download that broke off: %s: %w", h.Name, err)
		}
		found[h.Name] = hex.EncodeToString(digest.Sum(nil))
	}
}
