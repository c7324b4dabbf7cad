package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tetratelabs/wazero/experimental"
)

// What compiling one module may take. The largest honest module so far, a
// plain-Go guest of 1.8 MB, takes about 2 s and 300 MiB.
const (
	compileCPU    = 20 * time.Second
	compileWall   = 60 * time.Second
	compileMemory = 1 << 30
	// compileNice leaves the requests the first choice of the processors.
	compileNice = 5
)

// compileJob is the first line of the child's input; the module follows.
type compileJob struct {
	Dir    string `json:"dir"`
	Engine string `json:"engine"`
	Length int    `json:"length"`
	// These are those of Spec.
	Config       map[string]any `json:"config"`
	ConfigFile   string         `json:"config_file"`
	AllowMissing bool           `json:"allow_missing"`
}

// compileResult is the one line of the child's output.
type compileResult struct {
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

// CompileChild is the entry of the compiling child process: a job and a module
// on in, the native code in the job's cache folder, the outcome on out. The
// process limits its own memory and processor time first, since a small
// module can ask for a lot of both. It also takes one instance up to its first
// call, so that a start function that spins does so here and not in the daemon.
func CompileChild(ctx context.Context, in io.Reader, out io.Writer) error {
	enc := json.NewEncoder(out)
	if err := compileLimited(ctx, in); err != nil {
		return errors.Join(err, enc.Encode(compileResult{Error: firstLine(err.Error())}))
	}
	return enc.Encode(compileResult{OK: true})
}

func compileLimited(ctx context.Context, in io.Reader) error {
	if err := limitProcess(); err != nil {
		return err
	}
	r := bufio.NewReader(in)
	line, err := r.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read compile job: %w", err)
	}
	var job compileJob
	if err := json.Unmarshal(line, &job); err != nil {
		return fmt.Errorf("decode compile job: %w", err)
	}
	wasm, err := io.ReadAll(io.LimitReader(r, int64(job.Length)+1))
	if err != nil || len(wasm) != job.Length {
		return fmt.Errorf("read module: %d of %d bytes: %w", len(wasm), job.Length, orCut(err))
	}
	ctx = experimental.WithCompilationWorkers(ctx, runtime.NumCPU())
	v := &Version{spec: Spec{
		Engine: job.Engine, Config: job.Config, ConfigFile: job.ConfigFile, AllowMissing: job.AllowMissing,
		Log: slog.New(slog.DiscardHandler),
	}}
	err = v.open(ctx, job.Dir, wasm)
	if err != nil && os.RemoveAll(job.Dir) == nil {
		// The cache may hold code that is damaged; without it the module alone
		// decides.
		err = v.open(ctx, job.Dir, wasm)
	}
	if err != nil {
		return err
	}
	defer v.Close()
	first, err := newInstance(ctx, v)
	if err != nil {
		return err
	}
	first.close()
	return nil
}

func orCut(err error) error {
	if err == nil {
		return io.ErrUnexpectedEOF
	}
	return err
}

// limitProcess bounds what this process may use from here on.
func limitProcess() error {
	// A failure only means that compiling competes with serving.
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, compileNice)
	seconds := uint64(compileCPU / time.Second)
	if err := lowerLimit(syscall.RLIMIT_CPU, seconds); err != nil {
		return fmt.Errorf("limit processor time: %w", err)
	}
	// Address space is counted from what the process has reserved already: a
	// Go program reserves far more than it uses.
	reserved, err := addressSpace()
	if err != nil {
		return fmt.Errorf("limit memory: %w", err)
	}
	if err := lowerLimit(syscall.RLIMIT_AS, reserved+compileMemory); err != nil {
		return fmt.Errorf("limit memory: %w", err)
	}
	if err := lowerLimit(syscall.RLIMIT_CORE, 0); err != nil {
		return fmt.Errorf("limit core files: %w", err)
	}
	debug.SetMemoryLimit(compileMemory / 2)
	return nil
}

func lowerLimit(which int, limit uint64) error {
	var old syscall.Rlimit
	if err := syscall.Getrlimit(which, &old); err != nil {
		return err
	}
	limit = min(limit, old.Max)
	return syscall.Setrlimit(which, &syscall.Rlimit{Cur: limit, Max: limit})
}

func addressSpace() (uint64, error) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), " ")
	pages, err := strconv.ParseUint(first, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read /proc/self/statm: %w", err)
	}
	return pages * uint64(os.Getpagesize()), nil
}

// compile runs the child: afterwards the job's folder holds the module's native code, made
// or checked by this very binary on this machine, so that loading it here
// compiles nothing.
func compile(ctx context.Context, command []string, job compileJob, wasm []byte) error {
	ctx, cancel := context.WithTimeout(ctx, compileWall)
	defer cancel()
	job.Length = len(wasm)
	line, err := json.Marshal(job)
	if err != nil {
		return fmt.Errorf("encode compile job: %w", err)
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin = io.MultiReader(bytes.NewReader(append(line, '\n')), bytes.NewReader(wasm))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 5 * time.Second
	stdout, stderr := &head{limit: 4096}, &head{limit: 4096}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	start := time.Now()
	runErr := runPinned(cmd)
	var result compileResult
	_ = json.Unmarshal(stdout.bytes, &result) // what does not decode is no result
	switch {
	case result.OK:
		return nil
	case result.Error != "":
		return errors.New(result.Error)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("compiling took more than %v", compileWall)
	case ctx.Err() != nil:
		return ctx.Err()
	case runErr == nil:
		runErr = errors.New("it ended without a result")
	}
	if said := firstLine(string(stderr.bytes)); said != "" {
		runErr = fmt.Errorf("%w: %s", runErr, said)
	}
	return fmt.Errorf("compile process died after %v (limits: %v processor time, %d MiB): %w",
		time.Since(start).Round(100*time.Millisecond), compileCPU, compileMemory>>20, runErr)
}

// runPinned keeps the thread that starts the child until the child has ended:
// the kernel delivers the parent-death signal when that thread ends.
func runPinned(cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return cmd.Run()
}

// head keeps the first bytes written to it.
type head struct {
	limit int
	bytes []byte
}

func (h *head) Write(p []byte) (int, error) {
	h.bytes = append(h.bytes, p[:min(len(p), h.limit-len(h.bytes))]...)
	return len(p), nil
}
