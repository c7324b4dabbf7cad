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
	"runtime/debug"
	"syscall"
	"time"
)

// niceness of the child: it yields to the requests that the daemon answers.
const niceness = 10

// message is one line of the child's standard output.
type message struct {
	Progress *Progress `json:"progress,omitempty"`
	Result   *Result   `json:"result,omitempty"`
	Error    string    `json:"error,omitempty"`
}

// Child is the entry of the child process: a Job as JSON on in, messages as
// JSON lines on out. What it returns has already been told to the parent.
func Child(ctx context.Context, in io.Reader, out io.Writer) error {
	// A failure only means that training competes with serving.
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, niceness)
	enc := json.NewEncoder(out)
	var job Job
	if err := json.NewDecoder(in).Decode(&job); err != nil {
		err = fmt.Errorf("decode training job: %w", err)
		return errors.Join(err, enc.Encode(message{Error: err.Error()}))
	}
	if job.MemoryLimit > 0 {
		debug.SetMemoryLimit(job.MemoryLimit)
	}
	result, err := Run(ctx, job, func(p Progress) {
		_ = enc.Encode(message{Progress: &p}) // a parent that is gone kills the child anyway
	})
	if err != nil {
		return errors.Join(err, enc.Encode(message{Error: err.Error()}))
	}
	return enc.Encode(message{Result: result})
}

// Spawn runs the job in a child process: command is the program and the
// arguments that lead it to Child. The child dies with its parent and with ctx.
func Spawn(ctx context.Context, command []string, job Job, progress func(Progress)) (*Result, error) {
	input, err := json.Marshal(job)
	if err != nil {
		return nil, fmt.Errorf("encode training job: %w", err)
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin = bytes.NewReader(input)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 5 * time.Second
	stderr := &tail{limit: 4096}
	cmd.Stderr = stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start training process: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start training process: %w", err)
	}
	result, childErr := listen(stdout, progress)
	waitErr := cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case childErr != nil:
		return nil, childErr
	case result != nil:
		return result, nil
	}
	return nil, fmt.Errorf("training process ended without a result: %w: %s", orUnknown(waitErr), stderr)
}

func orUnknown(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

// listen reads messages until the child closes its output.
func listen(stdout io.Reader, progress func(Progress)) (*Result, error) {
	var result *Result
	var failure error
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var m message
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
	return result, failure
}

// tail keeps the last bytes written to it.
type tail struct {
	limit int
	bytes []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.bytes = append(t.bytes, p...)
	if over := len(t.bytes) - t.limit; over > 0 {
		t.bytes = t.bytes[over:]
	}
	return len(p), nil
}

func (t *tail) String() string { return string(bytes.TrimSpace(t.bytes)) }
