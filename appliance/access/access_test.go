package access

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

func open(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func make1(t testing.TB, s *Store, name string, scope Scope) string {
	t.Helper()
	secret, err := s.New(name, scope)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// TestLifeOfAKey: it opens from its making to its revocation, also for a store
// opened later; the file holds nothing that opens anything.
func TestLifeOfAKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	s := open(t, path)
	if s.Required() || s.Len() != 0 {
		t.Error("there are keys before any was made")
	}
	secret := make1(t, s, "shop", Recommend)
	other := make1(t, s, "feed", Ingest)
	if !regexp.MustCompile(`^vk_[0-9a-f]{8}_[0-9a-f]{64}$`).MatchString(secret) || secret == other {
		t.Errorf("the key reads %s", secret)
	}
	for _, store := range []*Store{s, open(t, path)} {
		key, ok := store.Check(secret)
		if !ok || key.Name != "shop" || key.Scope != Recommend || !store.Required() {
			t.Fatalf("%+v %v", key, ok)
		}
	}
	raw, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(raw), secret[len("vk_12345678_"):]) {
		t.Errorf("the file holds the key: %s %v", raw, err)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %o", info.Mode().Perm())
	}
	flipped := secret[:len(secret)-1] + string(secret[len(secret)-1]^1)
	for _, wrong := range []string{"", "vk_", flipped, secret[:len(secret)-1], secret + "0", strings.ToUpper(secret), other[:11] + secret[11:], "Bearer " + secret} {
		if key, ok := s.Check(wrong); ok {
			t.Errorf("%q opens as %s", wrong, key.Name)
		}
	}
	if err := s.Revoke("shop"); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Check(secret); ok {
		t.Error("a revoked key opens")
	}
	if err := errors.Join(s.Revoke("feed")); err != nil || !s.Required() {
		t.Errorf("revoking the last key opened the door (%v)", err)
	}
}

func TestNamesAndScopes(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "keys.json"))
	make1(t, s, "a.b-c_9", Admin)
	for name, want := range map[string]error{
		"a.b-c_9": ErrExists, "": ErrInvalid, "-x": ErrInvalid, "a b": ErrInvalid, "a\nb": ErrInvalid, "ü": ErrInvalid, strings.Repeat("x", 65): ErrInvalid,
	} {
		if _, err := s.New(name, Admin); !errors.Is(err, want) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := s.New("b", "root"); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
	if err := s.Revoke("b"); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
}

// TestTwoPrograms: changes by several stores of one file are all kept.
func TestTwoPrograms(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	var wg sync.WaitGroup
	for _, name := range strings.Fields("a b c d e f g h") {
		s := open(t, path)
		wg.Go(func() {
			if _, err := s.New(name, Ingest); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := open(t, path).Len(); n != 8 {
		t.Errorf("%d keys of 8", n)
	}
}

// TestNoNews: a file that stays as it is, or stays away, is no news to tell of.
func TestNoNews(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "keys.json"))
	for _, there := range []bool{false, true, false} {
		if there {
			make1(t, s, "x", Recommend)
		} else if err := os.Remove(s.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		if err := s.Reload(); err != nil {
			t.Fatal(err)
		}
		before := s.state.Load()
		if err := s.Reload(); err != nil || s.state.Load() != before || s.Required() != there {
			t.Errorf("there %t: required %t, the same state %t, %v", there, s.Required(), s.state.Load() == before, err)
		}
	}
}

// TestRunFollowsTheFile: another program's change counts; a damaged file
// leaves what there was.
func TestRunFollowsTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	s, other := open(t, path), open(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, slog.New(slog.NewTextHandler(io.Discard, nil))) }()
	secret := make1(t, other, "x", Recommend)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if _, ok := s.Check(secret); ok {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the new key is not known after a minute")
		}
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(); err == nil {
		t.Error("a broken file is no error")
	}
	if _, ok := s.Check(secret); !ok {
		t.Error("a broken file has taken the keys away")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestHostileFiles(t *testing.T) {
	hash := strings.Repeat("ab", 32)
	for name, text := range map[string]string{
		"scope": `{"keys":[{"name":"a","scope":"root","id":"00000000","sha256":"` + hash + `"}]}`,
		"hash":  `{"keys":[{"name":"a","scope":"admin","id":"00000000","sha256":"abcd"}]}`,
		"id":    `{"keys":[{"name":"a","scope":"admin","id":"","sha256":"` + hash + `"}]}`,
		"twice": `{"keys":[{"name":"a","scope":"admin","id":"00000000","sha256":"` + hash + `"},{"name":"b","scope":"admin","id":"00000000","sha256":"` + hash + `"}]}`,
		"field": `{"keys":[],"more":1}`,
		"form":  `[]`,
	} {
		path := filepath.Join(t.TempDir(), "keys.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
	path := filepath.Join(t.TempDir(), "keys.json")
	make1(t, open(t, path), "a", Admin)
	if err := os.Chmod(path, 0o620); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file that others may write: %v", err)
	}
}

// BenchmarkCheck: the limit is one SHA-256 of two blocks, about 120 ns with
// the processor's own instructions.
func BenchmarkCheck(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "keys.json"))
	secret := make1(b, s, "x", Recommend)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := s.Check(secret); !ok {
			b.Fatal("refused")
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"keys":[{"name":"a","scope":"admin","id":"00000000","sha256":"` + strings.Repeat("ab", 32) + `","created_at":"2026-01-01T00:00:00Z"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		list, err := parse(raw)
		if err != nil {
			return
		}
		for _, k := range list {
			if checkName(k.Name) != nil || k.hash == [32]byte{} && k.Hash != strings.Repeat("0", 64) {
				t.Errorf("%+v", k)
			}
		}
	})
}
