package pluginhost

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"vitrine/appliance/pluginhost/guard"
	"vitrine/internal/logkey"
	"vitrine/sdk/abi"
)

// The cache folder holds
//
//	code/<digest of the rewritten module>/   native code
//	kept/<file name>/<digest>/               module.wasm, plugin.toml, manifest.json, code (the digest above)
//	serving.json                             the files, without .wasm, that serve
//
// and only this user can enter it.
const (
	keptVersions = 3
	// keptAbsent is the number of plugins no longer in the folder whose
	// versions are kept nevertheless.
	keptAbsent = 16
	// codeAge protects code that was compiled for a plugin about to come.
	codeAge = time.Hour
)

func (h *Host) codeDir() string { return filepath.Join(h.opt.CacheDir, "code") }

// keptVersion is a version that has served.
type keptVersion struct {
	dir, digest string
	used        time.Time
}

// kept lists the versions of a file that have served, the latest first.
func (h *Host) kept(name string) []keptVersion {
	return keptIn(filepath.Join(h.opt.CacheDir, "kept", name))
}

func keptIn(dir string) []keptVersion {
	files, _ := os.ReadDir(dir) // none is none
	var list []keptVersion
	for _, f := range files {
		if info, err := f.Info(); err == nil && f.IsDir() && f.Name()[0] != '.' {
			list = append(list, keptVersion{filepath.Join(dir, f.Name()), f.Name(), info.ModTime()})
		}
	}
	slices.SortFunc(list, func(a, b keptVersion) int { return b.used.Compare(a.used) })
	return list
}

func (k keptVersion) read() (wasm, toml []byte, err error) {
	path := filepath.Join(k.dir, "module.wasm")
	if wasm, err = readBounded(path, stateOf(path), guard.DefaultMaxBytes); err != nil {
		return nil, nil, err
	}
	toml, err = os.ReadFile(filepath.Join(k.dir, "plugin.toml"))
	return wasm, toml, err
}

// keptSidecar is NAME.toml of the version that served last, nil if there is none.
func (h *Host) keptSidecar(name string) *sidecar {
	for _, k := range h.kept(name) {
		if toml, err := os.ReadFile(filepath.Join(k.dir, "plugin.toml")); err == nil {
			if side, err := parseSidecar(toml, h.opt.CallBudget); err == nil {
				return side
			}
		}
	}
	return nil
}

// keptManifest is the manifest of the version that served last, nil if there is
// none.
func (h *Host) keptManifest(name string) *abi.Manifest {
	for _, k := range h.kept(name) {
		var m abi.Manifest
		if text, err := os.ReadFile(filepath.Join(k.dir, "manifest.json")); err == nil && json.Unmarshal(text, &m) == nil {
			return &m
		}
	}
	return nil
}

func (h *Host) servingFile() string { return filepath.Join(h.opt.CacheDir, "serving.json") }

// loadServing reads which files served when this program ran last. Without the
// file, the order of file names decides who has a name that two claim. h.mu is
// held.
func (h *Host) loadServing() {
	h.heldBefore = map[string]bool{}
	text, err := os.ReadFile(h.servingFile())
	if err == nil {
		err = json.Unmarshal(text, &h.saved)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		h.opt.Log.Warn("which plugins served before cannot be read", logkey.File, h.servingFile(), logkey.Error, err)
	}
	for _, name := range h.saved {
		h.heldBefore[name] = true
	}
}

// saveServing writes which files serve, or are still to be loaded and served
// before. h.mu is held.
func (h *Host) saveServing() {
	if h.closed {
		return
	}
	names := []string{}
	for name, e := range h.entries {
		if e.claimed() != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if slices.Equal(names, h.saved) {
		return
	}
	text, err := json.Marshal(names)
	if err == nil {
		err = replaceFile(h.servingFile(), text)
	}
	if err != nil {
		h.opt.Log.Warn("which plugins serve cannot be kept", logkey.File, h.servingFile(), logkey.Error, err)
		return
	}
	h.saved = names
}

// keep stores a version that serves now and drops the oldest ones. What fails
// here costs a later restart its fallback, not the ranking anything. h.mu is
// held.
func (h *Host) keep(a *attempt) {
	dir := filepath.Join(h.opt.CacheDir, "kept", a.name, a.digest)
	if err := writeKept(dir, a); err != nil {
		h.opt.Log.Warn("plugin version not kept", logkey.File, a.name+moduleSuffix, logkey.Error, err)
		return
	}
	versions := h.kept(a.name)
	for _, old := range versions[min(keptVersions, len(versions)):] {
		_ = os.RemoveAll(old.dir) // tried again with the next version
	}
	h.prune()
}

func writeKept(dir string, a *attempt) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	staged, err := os.MkdirTemp(filepath.Dir(dir), ".new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(staged)
	for name, data := range map[string][]byte{
		"module.wasm": a.wasm, "plugin.toml": a.toml, "manifest.json": a.version.Manifest().AppendJSON(nil), "code": []byte(a.version.Code()),
	} {
		if err := writeSynced(filepath.Join(staged, name), data, 0o600); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Rename(staged, dir)
}

// prune drops what the kept versions do not need: plugins long gone, and code
// of no kept version.
func (h *Host) prune() {
	root := filepath.Join(h.opt.CacheDir, "kept")
	names, _ := os.ReadDir(root) // none is none
	type absent struct {
		dir  string
		used time.Time
	}
	var gone []absent
	needed := map[string]bool{}
	for _, n := range names {
		versions := keptIn(filepath.Join(root, n.Name()))
		if h.entries[n.Name()] == nil && len(versions) > 0 {
			gone = append(gone, absent{filepath.Join(root, n.Name()), versions[0].used})
		}
		for _, k := range versions {
			code, err := os.ReadFile(filepath.Join(k.dir, "code"))
			if err == nil {
				needed[string(code)] = true
			}
		}
	}
	slices.SortFunc(gone, func(a, b absent) int { return b.used.Compare(a.used) })
	for _, g := range gone[min(keptAbsent, len(gone)):] {
		_ = os.RemoveAll(g.dir)
	}
	for _, e := range h.entries {
		if e.serving != nil {
			needed[e.serving.Code()] = true
		}
	}
	codes, _ := os.ReadDir(h.codeDir())
	for _, c := range codes {
		info, err := c.Info()
		if err == nil && !needed[c.Name()] && time.Since(info.ModTime()) > codeAge {
			_ = os.RemoveAll(filepath.Join(h.codeDir(), c.Name()))
		}
	}
}

// writeSynced writes a file through to the disk.
func writeSynced(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// replaceFile puts data in the place of a file in one step. The staging name is
// unique: another process may be replacing the same file.
func replaceFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.new")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// privateDir makes a folder that only this user can enter, or narrows it:
// whoever can write there runs code in this process.
func privateDir(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a folder", path)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d, not to %d who runs this", path, stat.Uid, os.Geteuid())
	}
	if info.Mode().Perm()&0o077 != 0 {
		return os.Chmod(filepath.Clean(path), 0o700)
	}
	return nil
}
