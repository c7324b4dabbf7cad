// Command gorse trains Gorse's ALS on the benchmark's data: gorse DIR RANK EPOCHS
//
// It prints {"version", "cpu", "wall", "peak_mib"}: seconds of one epoch, as the
// difference of a long and a short fit. It is a module of its own, so that
// Gorse is no part of the product.
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gorse-io/gorse/dataset"
	"github.com/gorse-io/gorse/model"
	"github.com/gorse-io/gorse/model/cf"
	"github.com/gorse-io/gorse/storage/data"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gorse:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 4 {
		return fmt.Errorf("usage: gorse DIR RANK EPOCHS")
	}
	rank, err := strconv.Atoi(os.Args[2])
	if err != nil {
		return err
	}
	epochs, err := strconv.Atoi(os.Args[3])
	if err != nil || epochs < 2 {
		return fmt.Errorf("epochs must be 2 at least, not %s", os.Args[3])
	}
	train, err := load(os.Args[1])
	if err != nil {
		return err
	}
	short, long := fit(train, rank, 1), fit(train, rank, epochs)
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"version":  version(),
		"cpu":      (long.cpu - short.cpu) / float64(epochs-1),
		"wall":     (long.wall - short.wall) / float64(epochs-1),
		"peak_mib": peakMiB(),
	})
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Path == "github.com/gorse-io/gorse" {
				return d.Version
			}
		}
	}
	return "unknown"
}

// peakMiB is the most memory that this process had. It is not asked by
// getrusage, whose figure is the parent's where that is larger.
func peakMiB() float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kib, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, _ := strconv.ParseFloat(kib, 64)
	return n / 1024
}

// took is what a fit used, in seconds.
type took struct{ cpu, wall float64 }

func fit(train *split, rank, epochs int) took {
	threads, err := strconv.Atoi(os.Getenv("PEER_THREADS"))
	if err != nil {
		threads = 2
	}
	cpu, start := cpuTime(), time.Now()
	als := cf.NewALS(model.Params{model.NFactors: rank, model.NEpochs: epochs, model.Reg: 0.06, model.Alpha: 0.001})
	als.Fit(context.Background(), train, train.empty(), cf.NewFitConfig().SetJobs(threads).SetVerbose(epochs+1))
	return took{cpuTime() - cpu, time.Since(start).Seconds()}
}

func cpuTime() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// split is the data as Gorse's trainer asks for it.
type split struct {
	users, items       *dataset.FreqDict
	userLists, itemsOf [][]int32
	count              int
}

func load(dir string) (*split, error) {
	users, err := numbers(filepath.Join(dir, "users.i32"))
	if err != nil {
		return nil, err
	}
	items, err := numbers(filepath.Join(dir, "items.i32"))
	if err != nil {
		return nil, err
	}
	s := &split{users: dataset.NewFreqDict(), items: dataset.NewFreqDict(), count: len(users)}
	for n, user := range users {
		s.userLists = grow(s.userLists, user)
		s.itemsOf = grow(s.itemsOf, items[n])
		s.userLists[user] = append(s.userLists[user], items[n])
		s.itemsOf[items[n]] = append(s.itemsOf[items[n]], user)
	}
	for n := range s.userLists {
		s.users.Add(strconv.Itoa(n))
	}
	for n := range s.itemsOf {
		s.items.Add(strconv.Itoa(n))
	}
	return s, nil
}

func numbers(path string) ([]int32, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	out := make([]int32, len(raw)/4)
	for n := range out {
		out[n] = int32(binary.LittleEndian.Uint32(raw[4*n:]))
	}
	return out, nil
}

func grow(lists [][]int32, n int32) [][]int32 {
	for len(lists) <= int(n) {
		lists = append(lists, nil)
	}
	return lists
}

// empty is a split without feedback: nothing to evaluate.
func (s *split) empty() *split {
	return &split{users: s.users, items: s.items, userLists: make([][]int32, len(s.userLists)), itemsOf: make([][]int32, len(s.itemsOf))}
}

func (s *split) CountUsers() int                { return len(s.userLists) }
func (s *split) CountItems() int                { return len(s.itemsOf) }
func (s *split) CountFeedback() int             { return s.count }
func (s *split) GetItems() []data.Item          { return nil }
func (s *split) GetUserDict() *dataset.FreqDict { return s.users }
func (s *split) GetItemDict() *dataset.FreqDict { return s.items }
func (s *split) GetUserFeedback() [][]int32     { return s.userLists }
func (s *split) GetItemFeedback() [][]int32     { return s.itemsOf }
func (s *split) SampleUserNegatives(dataset.CFSplit, int) [][]int32 {
	return make([][]int32, len(s.userLists))
}
