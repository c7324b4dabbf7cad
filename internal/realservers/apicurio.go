package realservers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
)

// apicurioVersion is the newest that runs on Java 17.
const apicurioVersion = "2.6.13.Final"

// Apicurio says which schema registry to start: Apicurio's, which speaks Confluent's
// protocol beside its own.
type Apicurio struct {
	// Dir is an empty folder for everything that the server writes.
	Dir string
}

// Registry is one running schema registry. It keeps schemas in memory.
type Registry struct {
	// Address is host:port, URL what clients of Confluent's need.
	Address, URL string

	process process
}

// Start fetches the registry if need be and returns when it answers.
func (a Apicurio) Start(ctx context.Context) (*Registry, error) {
	java, err := program("java", "default-jre-headless")
	if err != nil {
		return nil, err
	}
	const name = "apicurio-registry-app"
	lib, err := fetched("apicurio-"+apicurioVersion, func(work string) error {
		return maven(ctx, work, "fetch "+name, mavenPlugin+"unpack", "-Dartifact=io.apicurio:"+name+":"+apicurioVersion+":tar.gz:all", "-DoutputDirectory="+work)
	})
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(ports[0])
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	r := &Registry{Address: ports[0], URL: "http://" + ports[0] + "/apis/ccompat/v7", process: process{name: name, dir: a.Dir, log: filepath.Join(a.Dir, "apicurio.log"), args: []string{
		java, "-Djava.io.tmpdir=" + a.Dir, "-XX:-UsePerfData", "-Xmx300m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-Dquarkus.http.host=" + host, "-Dquarkus.http.port=" + port, "-jar", filepath.Join(lib, name+"-"+apicurioVersion+"-runner.jar"),
	}}}
	return r, r.process.start(ctx, func() (bool, string) { return answersHTTP(r.Address) })
}

// Register adds a schema, as Confluent's protocol has it in JSON, to a subject, and
// returns its number.
func (r *Registry) Register(ctx context.Context, subject string, schema map[string]any) (id uint32, err error) {
	body, err := json.Marshal(schema)
	if err != nil {
		return 0, fmt.Errorf("register a schema: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL+"/subjects/"+subject+"/versions", bytes.NewReader(body))
	if err != nil {
		return 0, fmt.Errorf("register a schema: %w", err)
	}
	req.Header.Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, fmt.Errorf("register a schema: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // everything was read
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, fmt.Errorf("register a schema: %w", err)
	}
	var out struct{ ID uint32 }
	if resp.StatusCode != http.StatusOK || json.Unmarshal(said, &out) != nil {
		return 0, fmt.Errorf("register a schema: %s: %s", resp.Status, said)
	}
	return out.ID, nil
}

// Stop ends the server cleanly.
func (r *Registry) Stop() error { return r.process.stop() }

// Signal sends a signal, such as SIGSTOP and SIGCONT.
func (r *Registry) Signal(s os.Signal) error { return r.process.signal(s) }
