// Package child has a module compiled in a process of its own, with limits on
// its memory and its processor time: a small module can ask for a lot of both.
//
// It owns the process, its limits, and what the two sides say to each other. What
// compiling is, the caller says; it imports nothing of this module.
package child

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
)

// header is the first line of the child's input; the module follows.
type header struct {
	Job    json.RawMessage `json:"job"`
	Length int             `json:"length"`
}

// outcome is the one line of the child's output.
type outcome struct {
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

// Run has a child do a job, which is sent as JSON, with a module. command is the
// program and the arguments that lead it to Serve. What Serve's compile returns is
// the error, or how the child died; the child dies with its parent and with ctx.
func Run(ctx context.Context, command []string, job any, module []byte) error {
	ctx, cancel := context.WithTimeout(ctx, wall)
	defer cancel()
	encoded, err := json.Marshal(job)
	if err != nil {
		return fmt.Errorf("encode compile job: %w", err)
	}
	line, err := json.Marshal(header{encoded, len(module)})
	if err != nil {
		return fmt.Errorf("encode compile job: %w", err)
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin = io.MultiReader(bytes.NewReader(append(line, '\n')), bytes.NewReader(module))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 5 * time.Second
	stdout, stderr := &head{limit: 4096}, &head{limit: 4096}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	start := time.Now()
	runErr := runPinned(cmd)
	var result outcome
	_ = json.Unmarshal(stdout.bytes, &result) // what does not decode is no result
	switch {
	case result.OK:
		return nil
	case result.Error != "":
		return errors.New(result.Error)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("compiling took more than %v", wall)
	case ctx.Err() != nil:
		return ctx.Err()
	case runErr == nil:
		runErr = errors.New("it ended without a result")
	}
	if said := firstLine(string(stderr.bytes)); said != "" {
		runErr = fmt.Errorf("%w: %s", runErr, said)
	}
	return fmt.Errorf("compile process died after %v (limits: %v processor time, %d MiB): %w",
		time.Since(start).Round(100*time.Millisecond), processorTime, memory>>20, runErr)
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

// Serve is what the child does: it limits its own process, reads a job into job
// and a module from in, and writes to out what compile says of them.
func Serve(in io.Reader, out io.Writer, job any, compile func(module []byte) error) error {
	enc := json.NewEncoder(out)
	if err := serve(in, job, compile); err != nil {
		return errors.Join(err, enc.Encode(outcome{Error: firstLine(err.Error())}))
	}
	return enc.Encode(outcome{OK: true})
}

func serve(in io.Reader, job any, compile func(module []byte) error) error {
	if err := limitProcess(); err != nil {
		return err
	}
	r := bufio.NewReader(in)
	line, err := r.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read compile job: %w", err)
	}
	var head header
	if err := json.Unmarshal(line, &head); err != nil {
		return fmt.Errorf("decode compile job: %w", err)
	}
	if err := json.Unmarshal(head.Job, job); err != nil {
		return fmt.Errorf("decode compile job: %w", err)
	}
	module, err := io.ReadAll(io.LimitReader(r, int64(head.Length)+1))
	if err == nil && len(module) != head.Length {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("read module: %d of %d bytes: %w", len(module), head.Length, err)
	}
	return compile(module)
}

// firstLine keeps one line of a text that others wrote.
func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}
