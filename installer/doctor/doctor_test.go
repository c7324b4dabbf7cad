package doctor

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vitrine/appliance/client"
	"vitrine/appliance/config"
	"vitrine/installer/preflight"
)

func TestRedact(t *testing.T) {
	for _, c := range []struct{ text, hidden, kept string }{
		{"level=WARN msg=refused user_id=anna@shop code=bad_ts", "anna", "code=bad_ts"},
		{`{"user_id":"anna","source":"live"}`, "anna", `"source":"live"`},
		{"GET /v1/users/anna/history 200", "anna", "/history 200"},
		{"Authorization: Bearer vk_0123abcd_00112233445566778899", "0011", "Authorization"},
		{"key made: vk_0123abcd_00112233445566778899aabb", "8899", ""},
		{"connect to 10.20.30.40:9092 refused", "20.30", ":9092 refused"},
		{`password = "s3cret"`, "s3cret", "password"},
		{`schema_registry = "https://shop:s3cret@registry:8081"`, "s3cret", "@registry:8081"},
		{`schema_registry = "https://shop:p@s3cret@registry:8081/at@"`, "s3cret", "://[...]@registry:8081/at@"},
	} {
		got := Redact(c.text)
		if strings.Contains(got, c.hidden) || !strings.Contains(got, c.kept) {
			t.Errorf("%q became %q", c.text, got)
		}
	}
}

// TestStopped: without a running appliance there are findings and an archive
// all the same.
func TestStopped(t *testing.T) {
	dir := t.TempDir()
	c, err := config.Load(config.Sources{File: "/dev/null", DataDir: dir, Set: []string{"http.listen=127.0.0.1:0", "http.admin_listen=127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	found := Look(t.Context(), Options{Config: c, Client: client.NewSocket(filepath.Join(dir, "admin.sock")), Version: "1.2.3"})
	running := preflight.Line{}
	for _, r := range found.Rows {
		if r.ID == "running" {
			running = r
		}
	}
	if running.Severity != preflight.Warn || !strings.Contains(running.Fix, "vitrine serve") {
		t.Errorf("%+v", running)
	}
	var b bytes.Buffer
	if err := found.Archive(&b, time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	zip, err := gzip.NewReader(&b)
	if err != nil {
		t.Fatal(err)
	}
	names := ""
	for r := tar.NewReader(zip); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names += h.Name + " "
	}
	if names != "vitrine-doctor/config.toml vitrine-doctor/doctor.json vitrine-doctor/version.txt " {
		t.Error(names)
	}
}
