package realservers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// natsModule has the server's program; its version is that of go.mod.
const natsModule = "github.com/nats-io/nats-server/v2"

// NATS is a cluster of nats-server processes with JetStream.
type NATS struct {
	// URLs are where clients reach the servers.
	URLs []string

	nodes []*natsNode
}

type natsNode struct {
	address string
	process process
}

// StartNATS starts n servers on free ports, with everything that they write
// below dir, and returns when they have a leader. The program is built from the
// module that this one uses anyway.
func StartNATS(ctx context.Context, dir string, n int) (*NATS, error) {
	program, err := natsProgram(ctx)
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(2 * n)
	if err != nil {
		return nil, err
	}
	routes := make([]string, n)
	for i := range routes {
		routes[i] = "nats://" + ports[n+i]
	}
	c := new(NATS)
	for i := range n {
		conf := filepath.Join(dir, fmt.Sprintf("n%d.conf", i+1))
		// Who leads is told by all that was ever logged.
		node := &natsNode{ports[i], process{name: "nats-server", args: []string{program, "-c", conf}, log: filepath.Join(dir, fmt.Sprintf("n%d.log", i+1)), keep: true}}
		text := fmt.Sprintf("server_name: n%d\nlisten: %q\nmax_payload: 8MB\njetstream { store_dir: %q, sync_interval: always }\n", i+1, ports[i], filepath.Join(dir, fmt.Sprint("n", i+1)))
		if n > 1 {
			text += fmt.Sprintf("cluster { name: shop, listen: %q, routes: [%s] }\n", ports[n+i], strings.Join(routes, ", "))
		}
		if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
			return nil, fmt.Errorf("configure nats-server: %w", err)
		}
		c.nodes = append(c.nodes, node)
		c.URLs = append(c.URLs, "nats://"+ports[i])
	}
	for _, node := range c.nodes {
		if err := node.process.launch(); err != nil {
			return nil, errors.Join(err, c.Stop())
		}
	}
	for i := range c.nodes {
		if err := c.await(ctx, i); err != nil {
			return nil, errors.Join(err, c.Stop())
		}
	}
	return c, nil
}

// natsProgram builds the server once.
func natsProgram(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Version}}", natsModule).Output()
	if err != nil {
		return "", fmt.Errorf("ask for the version of nats-server: %w", err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache folder: %w", err)
	}
	path := filepath.Join(cache, "vitrine", "servers", "nats-server-"+strings.TrimSpace(string(out)))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", fmt.Errorf("make the cache folder: %w", err)
	}
	// Built beside its place and moved in: two test runs may do it at once.
	work := fmt.Sprintf("%s.%d", path, os.Getpid())
	if _, err := run(exec.CommandContext(ctx, "go", "build", "-o", work, natsModule), "build nats-server"); err != nil {
		return "", err
	}
	if err := os.Rename(work, path); err != nil {
		return "", fmt.Errorf("keep nats-server: %w", err)
	}
	return path, nil
}

// await returns when a server takes connections and its cluster has a leader.
func (c *NATS) await(ctx context.Context, i int) error {
	node := c.nodes[i]
	return node.process.await(ctx, func() (bool, string) {
		if ok, state := listens(node.address); !ok {
			return false, state
		}
		log, _ := os.ReadFile(node.process.log)
		return len(c.nodes) == 1 || strings.Contains(string(log), "JetStream cluster new metadata leader") || strings.Contains(string(log), "Self is new JetStream cluster metadata leader"), "there is no leader"
	})
}

// Kill ends server i as a power cut would end the process.
func (c *NATS) Kill(i int) error { return c.nodes[i].process.kill() }

// Restart starts server i again, on its old data and ports.
func (c *NATS) Restart(ctx context.Context, i int) error {
	if err := c.nodes[i].process.launch(); err != nil {
		return err
	}
	return c.await(ctx, i)
}

// Signal sends a signal to server i, such as SIGSTOP and SIGCONT.
func (c *NATS) Signal(i int, s os.Signal) error { return c.nodes[i].process.signal(s) }

// Leader is the server that leads a stream, as the servers' logs say.
func (c *NATS) Leader(stream string) int {
	best, at := 0, time.Time{}
	for i, node := range c.nodes {
		log, _ := os.ReadFile(node.process.log)
		for line := range strings.Lines(string(log)) {
			if !strings.Contains(line, "JetStream cluster new stream leader for '$G > "+stream+"'") {
				continue
			}
			// "[PID] 2026/11/25 21:50:00.123456 [INF] ..."
			fields := strings.Fields(line)
			if len(fields) < 3 {
				continue
			}
			if t, err := time.Parse("2006/01/02 15:04:05.000000", fields[1]+" "+fields[2]); err == nil && t.After(at) {
				best, at = i, t
			}
		}
	}
	return best
}

// Stop ends the servers that run.
func (c *NATS) Stop() error {
	var errs []error
	for _, node := range c.nodes {
		_ = node.process.signal(syscall.SIGCONT) // a stopped one cannot end
		errs = append(errs, node.process.stop())
	}
	return errors.Join(errs...)
}
