package preflight

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"vitrine/appliance/config"
	"vitrine/installer/words"
)

// root is a machine made of files.
func root(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func el7() map[string]string {
	return map[string]string{
		"etc/os-release":                         "ID=\"centos\"\nID_LIKE=\"rhel fedora\"\nVERSION_ID=\"7\"\nPRETTY_NAME=\"CentOS Linux 7 (Core)\"\n",
		"etc/passwd":                             "root:x:0:0::/root:/bin/sh\nvitrine:x:987:987::/var/lib/vitrine:/sbin/nologin\n",
		"usr/lib/systemd/system/vitrine.service": "[Unit]\n",
		"proc/sys/kernel/osrelease":              "3.10.0-1160.el7.x86_64\n",
		"proc/cpuinfo":                           "processor : 0\nflags : sse4_1 avx2 fma\n\nprocessor : 1\nflags : sse4_1 avx2 fma\n",
		"proc/meminfo":                           "MemTotal: 16000000 kB\nMemAvailable: 12000000 kB\n",
		"proc/sys/net/core/somaxconn":            "128\n",
		"proc/sys/fs/file-max":                   "1600000\n",
		"proc/sys/vm/swappiness":                 "60\n",
		"proc/swaps":                             "Filename Type Size\n/dev/dm-1 partition 100\n",
		"proc/self/mountinfo":                    "1 0 8:1 / / rw,relatime shared:1 - xfs /dev/sda1 rw\n",
		"sys/fs/selinux/enforce":                 "1",
	}
}

func look(t *testing.T, files map[string]string, change func(*Options)) (Report, map[string]Line) {
	t.Helper()
	data, err := os.MkdirTemp("/dev/shm", "vitrine") // where an fsync takes no time
	if err != nil {
		data = t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(data) })
	c, err := config.Load(config.Sources{File: "/dev/null", DataDir: data, Set: []string{"http.listen=127.0.0.1:0", "http.admin_listen=127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	opt := Options{Config: c, Root: root(t, files)}
	if change != nil {
		change(&opt)
	}
	report := Run(t.Context(), opt)
	rows := map[string]Line{}
	for _, r := range report.Rows {
		rows[r.ID] = r
	}
	return report, rows
}

func TestHealthy(t *testing.T) {
	report, rows := look(t, el7(), nil)
	if !report.OK || report.Production {
		t.Errorf("a healthy el7 does not pass: %+v", report)
	}
	for id, want := range map[string]Severity{
		"os": OK, "kernel": OK, "cpu": OK, "memory": OK, "disk": OK, "somaxconn": Warn, "file-max": OK, "swappiness": Info,
		"selinux": OK, "user": OK, "port.api": OK,
	} {
		if rows[id].Severity != want {
			t.Errorf("%s is %+v, want %s", id, rows[id], want)
		}
	}
	if rows["somaxconn"].Fix != "vitrine tune --apply" || rows["os"].Value != "CentOS Linux 7 (Core)" {
		t.Errorf("%+v %+v", rows["somaxconn"], rows["os"])
	}
}

// TestFaults: each fault of a machine is named, and blocks where it must.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		file, text, id     string
		loopback, severity Severity // alone, and in production
	}{
		{"proc/sys/kernel/osrelease", "2.6.32-754.el6\n", "kernel", Block, Block},
		{"proc/sys/kernel/osrelease", "3.8.0\n", "kernel", Warn, Warn},
		{"etc/os-release", "ID=debian\n", "os", Info, Info},
		{"etc/os-release", "ID=centos\nID_LIKE=\"rhel fedora\"\nVERSION_ID=6.10\n", "os", Warn, Block},
		{"etc/os-release", "ID=kylin\nVERSION_ID=V10\n", "os", OK, OK},
		{"etc/passwd", "root:x:0:0::/root:/bin/sh\n", "user", Block, Block},
		{"proc/meminfo", "MemTotal: 1000000 kB\nMemAvailable: 900000 kB\n", "memory", Warn, Block},
		{"sys/fs/cgroup/memory.max", "536870912\n", "memory", Warn, Block},
		{"proc/cpuinfo", "processor : 0\nflags : sse4_1\nprocessor : 1\n", "cpu", Warn, Warn},
		{"proc/self/mountinfo", "1 0 8:1 / / ro,relatime shared:1 - xfs /dev/sda1 ro\n", "disk", Block, Block},
		{"proc/self/mountinfo", "1 0 8:1 / / rw shared:1 - nfs4 server:/x rw\n", "disk", Warn, Block},
		{"sys/fs/selinux/enforce", "0", "selinux", Info, Info},
		{"proc/sys/fs/file-max", "1000\n", "file-max", Warn, Warn},
	} {
		files := el7()
		files[c.file] = c.text
		_, alone := look(t, files, nil)
		report, rows := look(t, files, func(o *Options) { o.Production = true })
		if alone[c.id].Severity != c.loopback || rows[c.id].Severity != c.severity {
			t.Errorf("%s = %q: %s is %s and %s, want %s and %s", c.file, c.text, c.id, alone[c.id].Severity, rows[c.id].Severity, c.loopback, c.severity)
		}
		if report.OK != (c.severity != Block) {
			t.Errorf("%s = %q: ok is %v", c.file, c.text, report.OK)
		}
		if c.severity != OK && rows[c.id].Why == "" {
			t.Errorf("%s does not say why", c.id)
		}
	}
}

// TestPortOfReload: an appliance that holds its port and is about to answer on
// its socket, as while it reloads, is no other program.
func TestPortOfReload(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, rows := look(t, el7(), func(o *Options) {
		o.Config.HTTP.Listen = l.Addr().String()
		data := o.Config.Data.Dir
		if err := errors.Join(os.Mkdir(filepath.Join(data, "state"), 0o700), os.WriteFile(filepath.Join(data, "state", "lock"), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(300*time.Millisecond, func() {
			socket, err := net.Listen("unix", filepath.Join(data, "admin.sock"))
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { socket.Close() })
		})
	})
	if r := rows["port.api"]; r.Severity != OK || !strings.HasSuffix(r.Value, " (vitrine)") {
		t.Errorf("%+v", r)
	}
}

func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	report, rows := look(t, el7(), func(o *Options) { o.Config.HTTP.Listen = l.Addr().String() })
	if report.OK || rows["port.api"].Severity != Block || !strings.Contains(rows["port.api"].Fix, "http.listen") {
		t.Errorf("%+v", rows["port.api"])
	}
}

// TestSystemd judges what systemctl says of itself.
func TestSystemd(t *testing.T) {
	for _, c := range []struct {
		said, value string
		severity    Severity
	}{
		{"systemd 219\n+PAM +AUDIT\n", "219", OK}, {"systemd 252 (252.38-1)\n", "252", OK}, {"systemd 208\n", "208", Block}, {"", "-", Info}, {"systemd ?", "?", Info},
	} {
		if row := managerRow(c.said); row.Value != c.value || row.Severity != c.severity {
			t.Errorf("%q: %+v", c.said, row)
		}
	}
}

// TestFirewallAndNodes: what stands between the API and others, and several
// memory nodes, are told and block nothing.
func TestFirewallAndNodes(t *testing.T) {
	files := el7()
	files["run/firewalld.pid"] = "812\n"
	files["sys/devices/system/node/online"] = "0-1\n"
	files["etc/firewalld/zones/public.xml"] = `<zone><service name="ssh"/></zone>`
	if _, rows := look(t, files, nil); rows["firewalld"].Severity != OK || rows["numa"].Severity != Info || rows["numa"].Value != "0-1" {
		t.Errorf("on loopback: %+v %+v", rows["firewalld"], rows["numa"])
	}
	others := func(o *Options) { o.Config.HTTP.Listen = "0.0.0.0:0" }
	if report, rows := look(t, files, others); !report.OK || rows["firewalld"].Severity != Info || !strings.Contains(rows["firewalld"].Fix, "--add-service=vitrine") {
		t.Errorf("a firewall in the way: %+v", rows["firewalld"])
	}
	files["etc/firewalld/zones/public.xml"] = `<zone><service name="vitrine"/></zone>`
	if _, rows := look(t, files, others); rows["firewalld"].Severity != OK || rows["firewalld"].Value != "pid 812, vitrine in public" {
		t.Errorf("opened: %+v", rows["firewalld"])
	}
}

// TestClockNeverSet: a machine whose battery is empty blocks, on loopback too.
func TestClockNeverSet(t *testing.T) {
	report, rows := look(t, el7(), func(o *Options) { o.Now = time.Unix(60, 0) })
	if report.OK || rows["clock"].Severity != Block || !strings.HasPrefix(rows["clock"].Value, "1970-01-01") || !strings.Contains(rows["clock"].Fix, "chronyc makestep") {
		t.Errorf("%+v", rows["clock"])
	}
}

func TestChinese(t *testing.T) {
	_, rows := look(t, el7(), func(o *Options) { o.Language = words.Chinese })
	if rows["swappiness"].Why == "a model that was swapped out answers late" || rows["swappiness"].Why == "" {
		t.Errorf("%+v", rows["swappiness"])
	}
}

func TestServices(t *testing.T) {
	got := named(map[string]any{
		"redis":   map[string]any{"address": "r:6379"},
		"bus":     map[string]any{"url": "nats://n"},
		"archive": map[string]any{"url": "hdfs://nn:9000,nn2:9000/user"},
	})
	var names []string
	for _, s := range got {
		names = append(names, s.ID+" "+s.Address)
	}
	if want := []string{"redis r:6379", "nats n:4222", "hdfs nn:9000", "hdfs nn2:9000"}; !slices.Equal(names, want) {
		t.Errorf("%v, want %v", names, want)
	}
	if got := named(map[string]any{"archive": map[string]any{"url": "file:archive"}, "bus": map[string]any{"url": "embedded"}}); got != nil {
		t.Errorf("nothing is configured: %v", got)
	}
	if _, err := Reach(t.Context(), Service{ID: "redis", Address: "127.0.0.1:1"}); err == nil {
		t.Error("nothing listens there")
	}
}

// TestKafka asks a cluster for the topics that are configured: what is there is
// told, what is missing with the command that makes it.
func TestKafka(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(8, "user-events"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	broker := cluster.ListenAddrs()[0]
	configured := func(change func(*config.Kafka)) func(*Options) {
		return func(o *Options) {
			o.Config.Kafka.Brokers = []string{broker}
			change(&o.Config.Kafka)
		}
	}
	if _, rows := look(t, el7(), configured(func(*config.Kafka) {})); rows["kafka"].Severity != OK || rows["kafka"].Value != broker+": user-events (8)" {
		t.Errorf("%+v", rows["kafka"])
	}
	report, rows := look(t, el7(), func(o *Options) {
		o.Production = true
		configured(func(k *config.Kafka) { k.ItemsTopic = "items" })(o)
	})
	if r := rows["kafka"]; report.OK || r.Severity != Block || !strings.Contains(r.Value, "topic items does not exist") || !strings.Contains(r.Fix, "kafka-topics.sh --create --topic items") {
		t.Errorf("%+v", r)
	}
}

// TestSchemaRegistry is asked where Avro is read by it: what is wrong is told with the
// key that mends it, and no password.
func TestSchemaRegistry(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "user-events"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch _, password, _ := r.BasicAuth(); {
		case password != "right":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/schemas/types":
			fmt.Fprint(w, `["AVRO"]`)
		default:
			http.NotFound(w, r)
		}
	}))
	defer registry.Close()
	for _, test := range []struct {
		format, user, path, value, fix string
	}{
		{"avro", "shop:right@", "", registry.URL + ": AVRO", ""},
		{"avro", "shop:wrong@", "", `it refuses user "shop"`, "kafka.schema_registry_password_file"},
		{"avro", "shop:right@", "/other", "no schema registry: it says 404 Not Found", "check the path of kafka.schema_registry"},
		{"protobuf", "shop:wrong@", "", "", ""},
	} {
		report, rows := look(t, el7(), func(o *Options) {
			o.Production = true
			k := &o.Config.Kafka
			k.Brokers, k.Format, k.Registry.URL = cluster.ListenAddrs()[:1], test.format, strings.Replace(registry.URL, "//", "//"+test.user, 1)+test.path
		})
		row, there := rows["schema_registry"]
		if there != (test.value != "") || !strings.Contains(row.Value, test.value) || !strings.Contains(row.Fix, test.fix) || strings.Contains(row.Value+row.Fix, test.user) && test.user != "" {
			t.Errorf("%+v: %+v", test, row)
		}
		if wrong := test.fix != ""; there && (row.Severity == Block) != wrong || wrong && report.OK {
			t.Errorf("%+v: %+v", test, row)
		}
	}
}
