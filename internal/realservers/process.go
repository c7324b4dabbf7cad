package realservers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// process is one server that is started, stopped, killed and started again with
// the same command line.
type process struct {
	// name is the server's in messages.
	name string
	args []string
	dir  string
	// log is the file that it writes to, anew with each start but where keep is
	// set.
	log  string
	keep bool
	// env is the environment, this process's where it is nil.
	env []string

	cmd  *exec.Cmd
	done chan struct{}
}

// start runs the process and returns when ready says so. What ready says last
// is part of the error.
func (p *process) start(ctx context.Context, ready func() (bool, string)) error {
	if err := p.launch(); err != nil {
		return err
	}
	return p.await(ctx, ready)
}

// launch runs the process.
func (p *process) launch() error {
	how := os.O_TRUNC
	if p.keep {
		how = os.O_APPEND
	}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|how, 0o644)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	defer func() { _ = out.Close() }() // the server has its own copy
	cmd := exec.Command(p.args[0], p.args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.Env = p.dir, out, out, p.env
	// The server goes with the test, even one that is killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.cmd, p.done = cmd, make(chan struct{})
	go func(done chan struct{}) {
		_ = cmd.Wait() // how it ended is in its log
		close(done)
	}(p.done)
	return nil
}

// await returns when ready says so of a process that was launched.
func (p *process) await(ctx context.Context, ready func() (bool, string)) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		ok, state := ready()
		if ok {
			return nil
		}
		select {
		case <-p.done:
			p.cmd = nil
			return fmt.Errorf("%s ended at its start:\n%s", p.name, p.tail())
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("%s is not ready (%s): %w\n%s", p.name, state, ctx.Err(), p.tail()), p.kill())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (p *process) tail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return tail(text)
}

// stop ends the process and waits for it.
func (p *process) stop() error {
	if p.cmd == nil {
		return nil
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-p.done:
		p.cmd = nil
		return nil
	case <-time.After(15 * time.Second):
		return p.kill()
	}
}

// kill ends the process as a power cut would.
func (p *process) kill() error {
	if p.cmd == nil {
		return nil
	}
	err := p.cmd.Process.Kill()
	<-p.done
	p.cmd = nil
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// listens says whether a server takes connections, for start and await.
func listens(address string) (bool, string) {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false, err.Error()
	}
	return c.Close() == nil, ""
}

// signal sends a signal, such as SIGSTOP and SIGCONT.
func (p *process) signal(s os.Signal) error {
	if p.cmd == nil {
		return fmt.Errorf("%s does not run", p.name)
	}
	return p.cmd.Process.Signal(s)
}
