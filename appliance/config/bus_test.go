package config

import (
	"slices"
	"strings"
	"testing"
)

func TestBusServers(t *testing.T) {
	for text, want := range map[string][]string{
		"embedded":                            nil,
		"nats://a:4222":                       {"nats://a:4222"},
		"nats://a:4222,b:4222, c:4222":        {"nats://a:4222", "nats://b:4222", "nats://c:4222"},
		"tls://a:4222,b:4222,nats://c:4222,d": {"tls://a:4222", "tls://b:4222", "nats://c:4222", "nats://d"},
	} {
		c, err := Load(Sources{Set: []string{"bus.url=" + text}, DataDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Bus.Servers(); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

func TestBusFaults(t *testing.T) {
	for set, want := range map[string]string{
		"bus.url=":                       `must be "embedded"`,
		"bus.url=http://a:4222":          `"http://a:4222": must be "embedded"`,
		"bus.url=nats://u:p@a:4222":      "who logs in is said by bus.user",
		"bus.url=nats://a:4222/x":        "must be",
		"bus.stream=a b":                 "must be a name of a stream",
		"bus.stream=a.b":                 "must be a name of a stream",
		"bus.replicas=6":                 "between 1 and 5",
		"bus.min_free=1MiB":              "at least 16MiB",
		"bus.tls_cert=x":                 "go together",
		"bus.user=x":                     "go together",
		"bus.min_fre=1GiB":               "nearest key: bus.min_free",
		"bus.credential_file=/etc/creds": "nearest key: bus.credentials_file",
	} {
		_, err := Load(Sources{Set: []string{set}, DataDir: t.TempDir()})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", set, err, want)
		}
	}
}
