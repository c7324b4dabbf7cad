package e2e

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"vitrine/internal/realservers"
)

// TestRealKafkaWrongBrokers names brokers that are none, speaks to real ones as
// they do not want it, and reads from one that gives an address of itself which
// nobody listens on: each is told with what to do about it.
func TestRealKafkaWrongBrokers(t *testing.T) {
	realservers.Require(t)
	b := realservers.During(t, realservers.Kafka{Dir: t.TempDir(), Secure: true}.Start)
	kafkaClient(t, b.Address, "user-events")
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	const nobody = "127.0.0.1:1"
	for _, test := range []struct {
		name, brokers string
		more          []string
		what, hint    string
	}{
		{"nobody listens", nobody, nil, "no connection to " + nobody, "check kafka.brokers"},
		{"no such host", "nobody.invalid:9092", nil, "no connection to nobody.invalid:9092", "check kafka.brokers"},
		{"no Kafka", web.Listener.Addr().String(), nil, "no answer from", "check kafka.brokers"},
		{"TLS is wanted", b.SecureAddress, nil, "only one side of the connection", "kafka.tls"},
		{"TLS is not spoken", b.Address, []string{"kafka.tls=true"}, "closed at once", "kafka.tls"},
		{"a password is wanted", b.SecureAddress, []string{"kafka.tls=true", "kafka.tls_ca=" + b.CA}, "closed at once", "kafka.sasl"},
		{"unknown authority", b.SecureAddress, []string{"kafka.tls=true"}, "authority that is not trusted", "kafka.tls_ca"},
		{"one of two", nobody + "," + b.Address, nil, "", ""},
		{"advertised", advertises(t, nobody), nil, "answer, and the addresses that they give of themselves cannot be reached", "advertised.listeners"},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := []string{"--set", "kafka.brokers=" + test.brokers}
			for _, setting := range test.more {
				args = append(args, "--set", setting)
			}
			d := start(t, shortDir(t), args...)
			d.until("the fault is told, or there is none", func(p pipeline) bool {
				if test.what == "" {
					return p.Kafka.Connected && p.Kafka.Error == "" && len(p.Kafka.Partitions) == 8
				}
				if p.Kafka.Connected {
					t.Errorf("connected: %+v", p.Kafka)
				}
				return strings.Contains(p.Kafka.Error, test.what) && strings.Contains(p.Kafka.Hint, test.hint)
			})
			if test.name == "advertised" { // it answers again and again
				d.says("kafka: reading")
				until(t, "it is tried again", func() bool { return strings.Count(d.err.String(), "kafka: reading") == 2 })
				if p := d.pipeline(); p.Kafka.Connected || p.Kafka.Error == "" {
					t.Errorf("tried again: %+v", p.Kafka)
				}
			}
			d.stop()
		})
	}
}

// advertises starts a broker that gives another address than its own, and has the
// topic.
func advertises(t *testing.T, address string) string {
	t.Helper()
	b := realservers.During(t, realservers.Kafka{Dir: t.TempDir(), Advertised: address}.Start)
	directClient(t, b)
	return b.Address
}
