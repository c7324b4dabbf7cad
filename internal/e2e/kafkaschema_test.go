package e2e

import (
	wire "encoding/binary" // binary is the appliance
	"fmt"
	"strings"
	"syscall"
	"testing"

	"vitrine/internal/realservers"
)

// TestRealKafkaSchemas reads by the schemas of a real registry: with a wrong path in
// its address records wait; then the schema of a topic changes, to one that refers to
// another, and records name schemas that no registry has; and the registry falls
// silent for a while.
func TestRealKafkaSchemas(t *testing.T) {
	realservers.Require(t)
	const fields = `{"type":"record","name":"E","fields":[{"name":"user_id","type":"string"},{"name":"item_id","type":"%s"},{"name":"event_type","type":"%s"}]}`
	registry := realservers.During(t, realservers.Apicurio{Dir: t.TempDir()}.Start)
	register := func(subject string, schema map[string]any) uint32 {
		t.Helper()
		id, err := registry.Register(t.Context(), subject, schema)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	first := register("user-events-value", map[string]any{"schema": fmt.Sprintf(fields, "long", "string")})
	b := realservers.During(t, realservers.Kafka{Dir: t.TempDir()}.Start)
	cl := kafkaClient(t, b.Address, "user-events")
	// A record is the registry's mark, the schema's number and the fields: a text
	// is twice its length and its bytes, an integer is twice itself, as is the place of
	// a symbol.
	record := func(schema uint32, fields string) string {
		return string(wire.BigEndian.AppendUint32([]byte{0}, schema)) + fields
	}
	produce(t, cl, "user-events", "k", record(first, "\x04u1"+"\x0e"+"\x08view"))
	args := []string{"--set", "kafka.brokers=" + b.Address, "--set", "archive.commit_every=1s", "--set", "kafka.format=avro"}
	d := start(t, shortDir(t), append(args, "--set", "kafka.schema_registry=http://"+registry.Address)...)
	d.until("the wrong path is told", func(p pipeline) bool {
		return strings.Contains(p.Kafka.Error, "is no schema registry: it says 404 Not Found") && strings.Contains(p.Kafka.Hint, "/apis/ccompat/v7")
	})
	d.stop()

	d = start(t, d.dir, append(args, "--set", "kafka.schema_registry="+registry.URL)...)
	register("kind", map[string]any{"schema": `{"type":"enum","name":"shop.Kind","symbols":["cart","view"]}`})
	second := register("user-events-value", map[string]any{
		"schema": fmt.Sprintf(fields, "string", "shop.Kind"), "references": []map[string]any{{"name": "shop.Kind", "subject": "kind", "version": 1}},
	})
	produce(t, cl, "user-events", "k",
		record(second, "\x04u2"+"\x02i"+"\x02"),
		record(9999, "\x04u3"+"\x0e"+"\x08view"),
		record(1<<32-1, "garbage"),
		record(first, "\x04u4"),
		record(first, "\x04u5"+"\x0e"+"\x08view"))
	d.until("all is read", func(p pipeline) bool { return p.Kafka.Accepted == 3 && p.Kafka.Rejected == 3 && p.Kafka.Error == "" })
	if codes := d.letterCodes("user-events"); fmt.Sprint(codes) != "map[invalid_schema_value:1 unknown_schema:2]" {
		t.Errorf("dead letters %v", codes)
	}

	third := register("user-events-value", map[string]any{"schema": fmt.Sprintf(fields, "int", "string")})
	if err := registry.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	produce(t, cl, "user-events", "k", record(third, "\x04u6"+"\x0e"+"\x08view"), record(first, "\x04u7"+"\x0e"+"\x08view"))
	d.until("the silence is told", func(p pipeline) bool { return strings.Contains(p.Kafka.Error, "it does not answer in time") })
	if err := registry.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	d.until("the rest is read", func(p pipeline) bool { return p.Kafka.Accepted == 5 && p.Kafka.Error == "" })
	d.settle()
	if found := archived(t, d.dir); fmt.Sprint(found) != "map[u1:1 u2:1 u5:1 u6:1 u7:1]" {
		t.Errorf("the archive has %v", found)
	}
}
