package hdfs_test

import (
	"testing"

	"vitrine/bridge/hdfs"
	"vitrine/bridge/mirror/storetest"
	"vitrine/internal/realservers"
)

func TestRealConformance(t *testing.T) {
	realservers.Require(t)
	c, err := realservers.HDFS{Dir: t.TempDir()}.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	}()
	s := hdfs.New(hdfs.Options{NameNodes: []string{c.Address}, Root: "/user/shop", User: "shop"})
	defer s.Close()
	storetest.Run(t, s)
}
