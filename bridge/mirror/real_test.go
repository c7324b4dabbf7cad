package mirror_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"vitrine/bridge/hdfs"
	"vitrine/bridge/mirror/storetest"
	"vitrine/bridge/webhdfs"
	"vitrine/internal/realservers"
)

// running names a cluster that runs already, NameNode's RPC and HTTP addresses
// with a comma: its conformance is tested then. Without it one is started.
const running = "VITRINE_HDFS"

// TestRealConformance holds both ways to a real HDFS against what a store
// promises.
func TestRealConformance(t *testing.T) {
	addresses := os.Getenv(running)
	if addresses == "" {
		realservers.Require(t)
		c, err := realservers.HDFS{Dir: t.TempDir()}.Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer stop(t, c)
		addresses = c.Address + "," + c.WebAddress
	}
	rpc, web, _ := strings.Cut(addresses, ",")
	root := "/user/conformance-" + time.Now().UTC().Format("20060102T150405")
	t.Run("hdfs", func(t *testing.T) {
		s := hdfs.New(hdfs.Options{NameNodes: []string{rpc}, Root: root + "/hdfs", User: "shop"})
		storetest.Run(t, s)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("webhdfs", func(t *testing.T) {
		s := webhdfs.New(webhdfs.Options{NameNodes: []string{web}, Root: root + "/webhdfs", User: "shop"})
		storetest.Run(t, s)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func stop(t *testing.T, c *realservers.Cluster) {
	t.Helper()
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
}
