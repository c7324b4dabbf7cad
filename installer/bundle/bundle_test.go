package bundle

import (
	"archive/tar"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// newKey makes a key pair and gives both files.
func newKey(t *testing.T, name string) (secret, public string) {
	t.Helper()
	if _, err := exec.LookPath("gpg"); err != nil {
		t.Skip("no gpg here")
	}
	home, err := os.MkdirTemp("", "gpg")
	if err != nil {
		t.Fatal(err)
	}
	k := &keyring{home}
	defer k.close(t.Context())
	if out, err := k.run(t.Context(), "", "--pinentry-mode", "loopback", "--passphrase", "", "--quick-generate-key", name, "rsa2048", "sign", "never"); err != nil {
		t.Fatal(out)
	}
	dir := t.TempDir()
	for file, what := range map[string]string{"secret": "--export-secret-keys", "public": "--export"} {
		if out, err := k.run(t.Context(), "", "--armor", "--output", filepath.Join(dir, file), what); err != nil {
			t.Fatal(out)
		}
	}
	return filepath.Join(dir, "secret"), filepath.Join(dir, "public")
}

func TestBundle(t *testing.T) {
	secret, public := newKey(t, "Maker")
	_, other := newKey(t, "Somebody else")
	repo := t.TempDir()
	key, err := os.ReadFile(public)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{KeyFile: string(key), "repodata/repomd.xml": "<x/>", "repodata/repomd.xml.asc": "sig", "vitrine-1.rpm": strings.Repeat("rpm", 5000)} {
		name = filepath.Join(repo, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	src := Source{Repo: repo, Program: filepath.Join(repo, "vitrine-1.rpm"), Key: secret}
	if _, err := Create(t.Context(), &b, src); err != nil {
		t.Fatal(err)
	}
	good := b.Bytes()
	got, err := Unpack(t.Context(), bytes.NewReader(good), t.TempDir(), public)
	if err != nil || len(got.Files) != 5 || !got.Trusted || len(got.Signer) != 40 {
		t.Fatalf("%+v, %v", got, err)
	}
	if got, err := Unpack(t.Context(), bytes.NewReader(good), t.TempDir(), ""); err != nil || got.Trusted {
		t.Errorf("with the bundle's own key: %+v, %v", got, err)
	}
	flipped := bytes.Replace(good, []byte("rpmrpm"), []byte("rpmrpn"), 1)
	for _, c := range []struct {
		name, key string
		data      []byte
		want      string
	}{
		{"another key", other, good, "signed with another key"},
		{"a changed byte", public, flipped, "was changed"},
		{"half of it", public, good[:bytes.Index(good, []byte("rpmrpm"))+100], "torn"},
		{"nothing", public, nil, "no SHA256SUMS"},
		{"an unlisted file", public, added(t, good, "evil.rpm"), "not in its list"},
		{"a way out", public, added(t, good, "../evil"), "no place in a bundle"},
	} {
		if _, err := Unpack(t.Context(), bytes.NewReader(c.data), t.TempDir(), c.key); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if err := os.Remove(filepath.Join(repo, KeyFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(t.Context(), &b, src); err == nil || !strings.Contains(err.Error(), KeyFile) {
		t.Errorf("a repository without its key: %v", err)
	}
}

// added is a bundle with one more file.
func added(t *testing.T, bundle []byte, name string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	size := (b.Len() + 511) / 512 * 512
	return append(b.Bytes()[:size:size], bundle...)
}

// FuzzUnpack: whatever is in a tar file, it is an error or lies below the folder.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte("no tar"))
	f.Fuzz(func(t *testing.T, data []byte) { _, _ = unpack(bytes.NewReader(data), t.TempDir()) })
}
