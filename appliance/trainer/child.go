package trainer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"vitrine/appliance/trainer/yield"
)

// message is one line of the child's standard output; R is what the work
// results in.
type message[R any] struct {
	Progress *Progress `json:"progress,omitempty"`
	Result   *R        `json:"result,omitempty"`
	Error    string    `json:"error,omitempty"`
}

// Child is the entry of the training process.
func Child(ctx context.Context, in io.Reader, out io.Writer) error {
	return Serve(ctx, in, out, RunAlone)
}

// Serve is what a child process does: a job J as JSON on in, messages as JSON
// lines on out. What it returns has already been told to the parent.
func Serve[J, R any](ctx context.Context, in io.Reader, out io.Writer, run func(context.Context, J, func(Progress)) (*R, error)) error {
	yield.ToRequests(ctx)
	enc := json.NewEncoder(out)
	var job J
	if err := json.NewDecoder(in).Decode(&job); err != nil {
		err = fmt.Errorf("decode training job: %w", err)
		return errors.Join(err, enc.Encode(message[R]{Error: err.Error()}))
	}
	result, err := run(ctx, job, func(p Progress) {
		_ = enc.Encode(message[R]{Progress: &p}) // a parent that is gone kills the child anyway
	})
	if err != nil {
		return errors.Join(err, enc.Encode(message[R]{Error: err.Error()}))
	}
	return enc.Encode(message[R]{Result: result})
}

// Spawn runs the job in a child process: command is the program and the
// arguments that lead it to Child.
func Spawn(ctx context.Context, command []string, job Job, progress func(Progress)) (*Result, error) {
	return Process[Result](ctx, command, job, progress)
}

// Process runs a job in a child process, whose command leads it to Serve. The
// child dies with its parent and with ctx.
func Process[R any](ctx context.Context, command []string, job any, progress func(Progress)) (*R, error) {
	input, err := json.Marshal(job)
	if err != nil {
		return nil, fmt.Errorf("encode training job: %w", err)
	}
	alive, kill := context.WithCancel(ctx)
	defer kill()
	cmd := exec.CommandContext(alive, command[0], command[1:]...)
	cmd.Stdin = bytes.NewReader(input)
	// In a group of its own, Ctrl-C reaches the parent alone, which knows what
	// to do with the child.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.WaitDelay = 5 * time.Second
	stderr := &head{limit: 4096}
	cmd.Stderr = stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start training process: %w", err)
	}
	// To the kernel the parent is the thread that starts the child: if it went,
	// so would the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start training process: %w", err)
	}
	result, childErr := listen[R](stdout, progress)
	if childErr != nil {
		kill()
	}
	waitErr := cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case childErr != nil:
		return nil, childErr
	case result != nil:
		return result, nil
	}
	return nil, fmt.Errorf("training process ended without a result: %s", reason(waitErr, stderr))
}

// reason says how the child ended: its exit, and what it wrote before the
// stacks of a crash.
func reason(exit error, stderr *head) string {
	text := "exit status 0"
	if exit != nil {
		text = exit.Error()
	}
	said, _, _ := strings.Cut(string(stderr.bytes), "\n\n")
	if said = strings.Join(strings.Fields(said), " "); said != "" {
		text += ": " + said[:min(len(said), 400)]
	}
	return text
}

// maxLine bounds one message of the child; a Result has some ten kilobytes.
const maxLine = 1 << 20

// listen reads messages until the child closes its output.
func listen[R any](stdout io.Reader, progress func(Progress)) (*R, error) {
	var result *R
	var failure error
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var m message[R]
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			continue // not ours: a library that prints
		}
		switch {
		case m.Progress != nil:
			progress(*m.Progress)
		case m.Result != nil:
			result = m.Result
		case m.Error != "":
			failure = errors.New(m.Error)
		}
	}
	if err := lines.Err(); err != nil && failure == nil {
		failure = fmt.Errorf("read from the training process: %w", err)
	}
	return result, failure
}

// head keeps the first bytes written to it: a crash tells its reason first.
type head struct {
	limit int
	bytes []byte
}

func (h *head) Write(p []byte) (int, error) {
	h.bytes = append(h.bytes, p[:min(len(p), h.limit-len(h.bytes))]...)
	return len(p), nil
}
