package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"vitrine/appliance/bench/training"
	"vitrine/appliance/httpapi"
	"vitrine/appliance/pluginhost"
)

// Kinds of child processes.
const (
	// ChildHello answers with the reference handler.
	ChildHello = "bench-hello"
	// ChildTrain trains on generated data in memory.
	ChildTrain = "bench-train"
	// ChildArchive writes generated data as an archive.
	ChildArchive = "bench-archive"
	// ChildPublish trains on an archive as the appliance does.
	ChildPublish = "bench-publish"
	// ChildCompile compiles the plugin that is measured.
	ChildCompile = "bench-compile"
	// ChildDaemon is an appliance with gap.Answer beside it. Package cmd has it:
	// this package cannot compose one.
	ChildDaemon = "bench-daemon"
)

const (
	// readyTimeout is how long a server may take until it says its address.
	readyTimeout = 60 * time.Second
	// stopTimeout is how long it may take to stop; an appliance promises 20 s.
	stopTimeout = 25 * time.Second
)

// Child is the entry of the benchmark's own child processes; kind is what
// Options.ChildCommand was asked for.
func Child(ctx context.Context, kind string, in io.Reader, out io.Writer) error {
	switch kind {
	case ChildHello:
		return helloChild(ctx, in, out)
	case ChildTrain:
		return training.Solve(ctx, in, out)
	case ChildArchive:
		return training.WriteArchive(ctx, in, out)
	case ChildPublish:
		return training.Publish(ctx, in, out)
	case ChildCompile:
		return pluginhost.CompileChild(ctx, in, out)
	}
	return fmt.Errorf("there is no child process of kind %q", kind)
}

// helloChild serves the reference until in ends or ctx does.
func helloChild(ctx context.Context, in io.Reader, out io.Writer) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for the reference: %w", err)
	}
	server := &http.Server{Handler: httpapi.Hello(), ReadHeaderTimeout: time.Minute}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, in) // the end is what counts
		cancel()
	}()
	context.AfterFunc(ctx, func() { server.Close() }) //nolint:errcheck // it is the end
	if _, err := fmt.Fprintf(out, "http://%s\n", listener.Addr()); err != nil {
		return fmt.Errorf("tell the reference's address: %w", err)
	}
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the reference: %w", err)
	}
	return nil
}

// process is a running child.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stderr *tail
	ended  chan struct{}
	err    error // of the end, once ended is closed
}

// tail keeps the last bytes a child wrote to stderr, for error messages.
type tail struct {
	mu   sync.Mutex
	last []byte
}

// tailBytes are enough for an error with its hint.
const tailBytes = 2048

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, p...)
	if over := len(t.last) - tailBytes; over > 0 {
		t.last = t.last[over:]
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(strings.Fields(string(t.last)), " ")
}

// spawn starts a child whose output goes line by line to each. It dies with
// this process.
func spawn(command []string, each func(line string)) (*process, error) {
	p := &process{cmd: exec.Command(command[0], command[1:]...), stderr: new(tail), ended: make(chan struct{})}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	p.cmd.Stderr = p.stderr
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", command[0], err)
	}
	p.stdin = stdin
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", command[0], err)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", command[0], err)
	}
	go func() {
		defer close(p.ended)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			each(lines.Text())
		}
		_, _ = io.Copy(io.Discard, stdout) // after a line that is too long
		p.err = p.cmd.Wait()
	}()
	return p, nil
}

// startServer starts a child that prints its URL, and waits for that. also, when
// set, is given every line that it prints.
func startServer(ctx context.Context, command []string, also func(line string)) (p *process, address string, err error) {
	found := make(chan string, 1)
	p, err = spawn(command, func(line string) {
		if also != nil {
			also(line)
		}
		for word := range strings.FieldsSeq(line) {
			if host, ok := strings.CutPrefix(word, "http://"); ok {
				select {
				case found <- host:
				default:
				}
			}
		}
	})
	if err != nil {
		return nil, "", err
	}
	timeout := time.NewTimer(readyTimeout)
	defer timeout.Stop()
	select {
	case address = <-found:
		return p, address, nil
	case <-p.ended:
		err = fmt.Errorf("start %s: it ended: %v: %s", command[0], p.err, p.stderr)
	case <-timeout.C:
		err = fmt.Errorf("start %s: it is not ready after %s: %s", command[0], readyTimeout, p.stderr)
	case <-ctx.Done():
		err = ctx.Err()
	}
	p.stop()
	return nil, "", err
}

// stop asks the child to end, and waits; one that does not is killed.
func (p *process) stop() {
	_ = p.stdin.Close()
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// call runs a child that takes one JSON value and answers with JSON lines, of
// which the last is the result. It returns the most memory the child had.
func call(ctx context.Context, command []string, in, result any) (peakMiB float64, err error) {
	input, err := json.Marshal(in)
	if err != nil {
		return 0, fmt.Errorf("encode for child: %w", err)
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr := new(tail)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), stderr
	output, err := cmd.Output()
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	if err != nil {
		return 0, fmt.Errorf("run %s: %w: %s", command[0], err, stderr)
	}
	if err := json.Unmarshal(output, result); err != nil {
		return 0, fmt.Errorf("understand what %s answered: %w", command[0], err)
	}
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		peakMiB = float64(u.Maxrss) / 1024
	}
	return peakMiB, nil
}
