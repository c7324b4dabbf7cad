package realservers

import (
	"strings"
	"testing"
)

func TestRealHDFSStarts(t *testing.T) {
	Require(t)
	c := During(t, HDFS{Dir: t.TempDir()}.Start)
	const shell = "org.apache.hadoop.fs.FsShell"
	if _, err := c.Run(t.Context(), shell, "-mkdir", "-p", "/a/b"); err != nil {
		t.Fatal(err)
	}
	if err := c.DataNodes[0].Kill(); err != nil {
		t.Fatal(err)
	}
	if err := c.NameNode.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := c.NameNode.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.DataNodes[0].Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Await(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	out, err := c.Run(t.Context(), shell, "-ls", "/a")
	if err != nil || !strings.Contains(out, "/a/b") {
		t.Errorf("after the restart: %s, %v", out, err)
	}
}
