// Package process runs the benchmark's child processes: servers that say where
// they listen, and workers that take one JSON value and answer with another.
//
// It owns their start, their end and the last of what they print to stderr. It
// imports nothing of this module and must not know what they do.
package process

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// readyTimeout is how long a server may take until it says its address.
	readyTimeout = 60 * time.Second
	// stopTimeout is how long it may take to stop; an appliance promises 20 s.
	stopTimeout = 25 * time.Second
)

// Process is a running child.
type Process struct {
	// Stdin is its standard input.
	Stdin  io.WriteCloser
	cmd    *exec.Cmd
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

// Spawn starts a child whose output goes line by line to each. It dies with
// this process.
func Spawn(command []string, each func(line string)) (*Process, error) {
	p := &Process{cmd: exec.Command(command[0], command[1:]...), stderr: new(tail), ended: make(chan struct{})}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	p.cmd.Stderr = p.stderr
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", command[0], err)
	}
	p.Stdin = stdin
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

// StartServer starts a child that prints its URL, and waits for that. also, when
// set, is given every line that it prints.
func StartServer(ctx context.Context, command []string, also func(line string)) (p *Process, address string, err error) {
	found := make(chan string, 1)
	p, err = Spawn(command, func(line string) {
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
	p.Stop()
	return nil, "", err
}

// PID is its process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Stop asks the child to end, and waits; one that does not is killed.
func (p *Process) Stop() {
	_ = p.Stdin.Close()
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// Kill ends the child at once, without telling it.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.ended
}

// Call runs a child that takes one JSON value and answers with JSON lines, of
// which the last is the result.
func Call(ctx context.Context, command []string, in, result any) error {
	input, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode for child: %w", err)
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr := new(tail)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), stderr
	output, err := cmd.Output()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("run %s: %w: %s", command[0], err, stderr)
	}
	if err := json.Unmarshal(output, result); err != nil {
		return fmt.Errorf("understand what %s answered: %w", command[0], err)
	}
	return nil
}
