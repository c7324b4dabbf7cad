package trainer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"vitrine/appliance/registry"
)

// as is the command of a child that plays a role of playChild.
func as(t *testing.T, role string) []string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{exe, "child", role}
}

func TestSpawnTrainsInAChild(t *testing.T) {
	j := job(t, archiveOf(t, 1000, tastes(60, 2000)...))
	told := 0
	result, err := Spawn(t.Context(), as(t, "chats and trains"), j, func(Progress) { told++ })
	if err != nil {
		t.Fatal(err)
	}
	here := j
	here.Out = filepath.Join(t.TempDir(), "here.bundle")
	same, bundle := train(t, here)
	if result.Gate != same.Gate || told < 10 {
		t.Errorf("child: %+v after %d messages; here: %+v", result.Gate, told, same.Gate)
	}
	other, err := registry.Load(j.Out)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range bundle.Model.Items {
		if other.Model.Items[i] != v {
			t.Fatalf("factor %d is %v in the child and %v here", i, other.Model.Items[i], v)
		}
	}
}

// TestBadChildrenAreErrors: whatever a child does, Spawn ends with an error
// that says what it was.
func TestBadChildrenAreErrors(t *testing.T) {
	good := job(t, archiveOf(t, 1000, tastes(10, 100)...))
	fails := good
	fails.ArchiveDir = "/dev/null"
	refuses := good
	refuses.Signal.Alpha = -1
	for role, c := range map[string]struct {
		job  Job
		want string
	}{
		"killed":             {good, "signal: killed"},
		"panics":             {good, "panic: the tensor is hollow"},
		"prints garbage":     {good, "without a result: exit status 0"},
		"prints without end": {good, "token too long"},
		"does nothing":       {good, "without a result: exit status 0"},
		"trains":             {fails, "/dev/null"},
		"chats and trains":   {refuses, "alpha"},
	} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			result, err := Spawn(ctx, as(t, role), c.job, noProgress)
			if err == nil || result != nil {
				t.Fatalf("result %+v, error %v", result, err)
			}
			if text := err.Error(); !strings.Contains(text, c.want) || strings.Contains(text, "goroutine ") || len(text) > 600 {
				t.Errorf("error %q, want %q", text, c.want)
			}
		})
	}
	if _, err := Spawn(t.Context(), []string{"/no/such/program"}, good, noProgress); err == nil || !strings.Contains(err.Error(), "/no/such/program") {
		t.Errorf("error %v", err)
	}
}

func TestCancelledChildIsKilled(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := Spawn(ctx, as(t, "hangs"), Job{}, noProgress); !errors.Is(err, context.DeadlineExceeded) { // left alone it hangs for an hour
		t.Errorf("error %v", err)
	}
}

// TestChildYields: every thread of the child has a low priority, also those
// that the runtime had started before.
func TestChildYields(t *testing.T) {
	path := filepath.Join(t.TempDir(), "niceness")
	j := job(t, archiveOf(t, 1000, tastes(60, 2000)...))
	if _, err := Spawn(t.Context(), as(t, "tells its niceness="+path), j, noProgress); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	threads := strings.Fields(string(text))
	if len(threads) < 3 {
		t.Fatalf("niceness of threads: %q", text)
	}
	const niceness = 10 // of package yield
	for _, nice := range threads {
		if n, err := strconv.Atoi(nice); err != nil || n < niceness {
			t.Errorf("niceness of threads: %s", text)
			break
		}
	}
}

func TestChildRefusesWhatIsNoJob(t *testing.T) {
	var out strings.Builder
	if err := Child(t.Context(), strings.NewReader("{"), &out); err == nil {
		t.Error("no error")
	}
	if !strings.Contains(out.String(), `"error":"decode training job`) {
		t.Errorf("told %q", out.String())
	}
}
