package backup

import (
	"fmt"
	"os"
	"syscall"
)

// owner is whose a folder is.
func owner(dir string) (uid, gid int, err error) {
	info, err := os.Stat(dir)
	if err != nil {
		return 0, 0, fmt.Errorf("look whose %s is: %w", dir, err)
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid), int(s.Gid), nil
	}
	return 0, 0, nil
}
