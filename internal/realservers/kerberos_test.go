package realservers

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestRealKerberosStarts(t *testing.T) {
	Require(t)
	realm := During(t, KDC{Dir: t.TempDir()}.Start)
	keytab := filepath.Join(t.TempDir(), "shop.keytab")
	if err := realm.Keytab(t.Context(), keytab, "shop"); err != nil {
		t.Fatal(err)
	}
	if err := realm.Admin(t.Context(), "modprinc -allow_tix nobody"); err == nil || !strings.Contains(err.Error(), "exist") {
		t.Errorf("a principal that is not there is changed: %v", err)
	}
	c := During(t, HDFS{Dir: t.TempDir(), DataNodes: 1, Realm: realm}.Start)
	const shell = "org.apache.hadoop.fs.FsShell"
	if _, err := c.Run(t.Context(), shell, "-touchz", "/x"); err != nil {
		t.Fatal(err)
	}
	out, err := c.Run(t.Context(), shell, "-ls", "/")
	if err != nil || !strings.Contains(out, "nn") {
		t.Errorf("the file's owner is not nn: %s, %v", out, err)
	}
}
