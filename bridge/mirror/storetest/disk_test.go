package storetest

import "testing"

func TestDisk(t *testing.T) { Run(t, Disk{Dir: t.TempDir()}) }
