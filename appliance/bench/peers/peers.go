// Package peers runs other implementations of the same algorithm on the
// benchmark's data, for figures that do not depend on the machine: Python's
// implicit, Spark MLlib and Gorse, and searches by faiss and hnswlib.
//
// It owns which are measured on what, how each is called, and the form of the
// data they read. What is not installed is absent, with the reason: nothing is
// ever fetched from here (make bench-peers does that). It may import
// appliance/bench/gen and als/dataset; it must not know how we are measured
// beside them.
package peers

import (
	"bufio"
	"bytes"
	"context"
	"embed"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"vitrine/als/dataset"
	"vitrine/appliance/bench/gen"
)

// scripts are handed to the interpreter with the data.
//
//go:embed implicit.py spark.py retrieval.py
var scripts embed.FS

// Names of the peers.
const (
	Implicit = "implicit"
	Spark    = "spark"
	Gorse    = "gorse"
)

// ErrAbsent says that a peer is not installed.
var ErrAbsent = errors.New("not installed")

// Result is what a peer took for one full iteration, both sides.
type Result struct {
	Version string `json:"version"`
	// CPU and Wall are in seconds.
	CPU  float64 `json:"cpu"`
	Wall float64 `json:"wall"`
	// PeakMiB is the most memory that its process had.
	PeakMiB float64 `json:"peak_mib"`
}

// Dir is where make bench-peers installs: the user's cache folder.
func Dir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache folder: %w", err)
	}
	return filepath.Join(cache, "vitrine", "peers"), nil
}

// Write puts the data into a folder in the forms that the peers read: the cells
// as three files of plain numbers, and, for all but implicit, the archive's
// Parquet files.
func Write(ctx context.Context, dir string, shape gen.Shape, archive bool) (cells int, err error) {
	m, err := gen.Matrix(ctx, shape)
	if err != nil {
		return 0, err
	}
	if err := writeCells(dir, m); err != nil {
		return 0, fmt.Errorf("write the peers' data: %w", err)
	}
	if !archive {
		return m.NNZ(), nil
	}
	return gen.Archive(ctx, filepath.Join(dir, "archive"), shape, false)
}

// writeCells streams the cells, of which the article's size has 1.2 GB.
func writeCells(dir string, m *dataset.CSR) error {
	err := writeFile(filepath.Join(dir, "users.i32"), func(w io.Writer) {
		var number [4]byte
		for user := range m.Rows {
			binary.LittleEndian.PutUint32(number[:], uint32(user))
			cols, _ := m.Row(user)
			for range cols {
				_, _ = w.Write(number[:]) // the flush tells
			}
		}
	})
	return errors.Join(err,
		writeFile(filepath.Join(dir, "items.i32"), func(w io.Writer) { writeNumbers(w, m.Indices) }),
		writeFile(filepath.Join(dir, "weights.f32"), func(w io.Writer) { writeNumbers(w, m.Weights) }))
}

// writeNumbers writes some numbers at a time, for they are encoded in memory.
func writeNumbers[T uint32 | float32](w io.Writer, numbers []T) {
	for some := range slices.Chunk(numbers, 1<<14) {
		_ = binary.Write(w, binary.LittleEndian, some) // the flush tells
	}
}

// writeFile makes a file of what fill writes. An error of a write is the
// flush's, too.
func writeFile(path string, fill func(w io.Writer)) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	fill(w)
	return errors.Join(w.Flush(), f.Close())
}

// Job is what a peer is asked for.
type Job struct {
	// Peer is its name, Home the folder where peers are installed.
	Peer, Home string
	// Data is the folder that Write filled.
	Data             string
	Rank, Iterations int
}

// Run lets a peer train. It returns ErrAbsent, with what is missing, where it is
// not installed.
func Run(ctx context.Context, job Job) (*Result, error) {
	var r Result
	if err := call(ctx, job, &r); err != nil {
		return nil, err
	}
	if !(r.CPU > 0) || !(r.Wall > 0) {
		return nil, fmt.Errorf("run %s: it measured %v s of CPU and %v s of time", job.Peer, r.CPU, r.Wall)
	}
	return &r, nil
}

// call runs a peer and reads the last line that it printed.
func call(ctx context.Context, job Job, result any) error {
	peer, home := job.Peer, job.Home
	command, err := command(home, job.Data, peer)
	if err != nil {
		return err
	}
	command = append(command, job.Data, strconv.Itoa(job.Rank), strconv.Itoa(job.Iterations))
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Env = append(os.Environ(), "PEER_THREADS="+strconv.Itoa(runtime.GOMAXPROCS(0)))
	if peer == Spark {
		if path := openBLAS(home); path != "" {
			// The folder above has what the library itself needs.
			folder := filepath.Dir(path)
			cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+folder+":"+filepath.Dir(folder))
		}
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		said := strings.TrimSpace(stderr.String())
		lines := strings.Split(said, "\n")
		last := lines[len(lines)-1]
		if strings.HasPrefix(last, "ModuleNotFoundError") {
			return fmt.Errorf("%s: %w: %s", peer, ErrAbsent, last)
		}
		return fmt.Errorf("run %s: %w: %s", peer, err, last)
	}
	lines := bytes.Split(bytes.TrimSpace(output), []byte("\n"))
	if err := json.Unmarshal(lines[len(lines)-1], result); err != nil {
		return fmt.Errorf("understand what %s answered: %w", peer, err)
	}
	return nil
}

// Installed returns ErrAbsent, with what is missing, where a peer's program is
// not; what that lacks in turn shows when it is run.
func Installed(home, peer string) error {
	path := program(home, peer)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w: there is no %s", peer, ErrAbsent, path)
	}
	return nil
}

func program(home, peer string) string {
	if peer == Gorse {
		return filepath.Join(home, Gorse)
	}
	return filepath.Join(home, "venv", "bin", "python")
}

// command is how a peer is called, but for its arguments.
func command(home, dir, peer string) ([]string, error) {
	if err := Installed(home, peer); err != nil {
		return nil, err
	}
	if peer == Gorse {
		return []string{program(home, peer)}, nil
	}
	script, err := scripts.ReadFile(peer + ".py")
	if err != nil {
		return nil, fmt.Errorf("find script: %w", err)
	}
	// Not by its own name: it would be what the script imports.
	path := filepath.Join(dir, "run_"+peer+".py")
	if err := os.WriteFile(path, script, 0o600); err != nil {
		return nil, fmt.Errorf("write script: %w", err)
	}
	return []string{program(home, peer), path}, nil
}

// openBLAS finds the library for Spark, beside the peers or the system's; ""
// without one.
func openBLAS(home string) string {
	for _, pattern := range []string{
		filepath.Join(home, "openblas", "usr", "lib", "*", "openblas*", "libblas.so.3"),
		"/usr/lib/*/openblas*/libblas.so.3",
	} {
		if found, err := filepath.Glob(pattern); err == nil && len(found) > 0 {
			return found[0]
		}
	}
	return ""
}
