package trainer

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"vitrine/appliance/signal"
	"vitrine/bridge/archive"
	"vitrine/bridge/event"
)

// TestMain lets the test binary be its own child process: what it does then
// follows the word "child".
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "child" {
		os.Exit(playChild(os.Args[2]))
	}
	os.Exit(m.Run())
}

// playChild is a child process, a good one or a bad one.
func playChild(role string) int {
	role, argument, _ := strings.Cut(role, "=")
	switch role {
	case "killed":
		fmt.Println(`{"progress":{"stage":"fit","done":1,"total":8}}`)
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "panics":
		panic("the tensor is hollow")
	case "prints garbage":
		fmt.Println("not JSON at all\n{\"progress\":7}\n[]\n\x00\xff")
	case "prints without end":
		chunk := strings.Repeat("x", 1<<20)
		for {
			if _, err := io.WriteString(os.Stdout, chunk); err != nil {
				return 1
			}
		}
	case "chats and trains":
		fmt.Println("a library says hello")
		fallthrough
	case "trains":
		if err := Child(context.Background(), os.Stdin, os.Stdout); err != nil {
			return 1
		}
	case "tells its niceness":
		err := Child(context.Background(), os.Stdin, os.Stdout)
		if text := threadNiceness(); os.WriteFile(argument, []byte(text), 0o600) != nil || err != nil {
			return 1
		}
	case "hangs":
		time.Sleep(time.Hour)
	}
	return 0
}

// threadNiceness is the niceness of every thread of this process.
func threadNiceness() string {
	stats, _ := filepath.Glob("/proc/self/task/*/stat")
	var out []string
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		// The name in parentheses may hold spaces; niceness is field 19.
		_, rest, _ := strings.Cut(string(text), ") ")
		out = append(out, strings.Fields(rest)[16])
	}
	return strings.Join(out, " ")
}

// begin is the time of the first event of the shops below: late enough that
// 90 days before are in this century too.
var begin = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC).UnixMilli()

const minute = int64(60_000)

// visit is an event of a test shop.
func visit(user, item, kind string, at int64) event.Record {
	return event.Record{Kind: event.KindEvent, Event: event.Event{UserID: user, ItemID: item, Type: kind, Time: at}}
}

// archiveOf makes an archive of the records, in commits of the given size.
func archiveOf(t testing.TB, commit int, records ...event.Record) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "archive")
	a, err := archive.Open(t.Context(), archive.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	seq := uint64(0)
	for len(records) > 0 {
		n := min(commit, len(records))
		b, err := a.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		seq++
		for i := range records[:n] {
			if err := b.Add(seq, &records[i]); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Commit(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
		records = records[n:]
	}
	return dir
}

// tastes is a shop whose users keep to one of three groups of items, in the
// order of time: what a model finds and popularity does not.
func tastes(users, events int) []event.Record {
	const groups, perGroup = 3, 15
	random := rand.New(rand.NewPCG(5, 5))
	var out []event.Record
	for n := range events {
		user := random.IntN(users)
		item := user%groups*perGroup + min(random.IntN(perGroup), random.IntN(perGroup))
		kind := "view"
		if random.IntN(5) == 0 {
			kind = "purchase"
		}
		out = append(out, visit(fmt.Sprintf("u%d", user), fmt.Sprintf("i%d", item), kind, begin+int64(n)*minute))
	}
	return out
}

// job is a training of dir that is quick.
func job(t testing.TB, dir string) Job {
	return Job{
		ArchiveDir: dir, Out: filepath.Join(t.TempDir(), "next.bundle"), Version: "v1", Parent: "v0",
		Signal: signal.Config{MaxItems: 20}, Rank: 8, Iterations: 4,
	}
}

func noProgress(Progress) {}
