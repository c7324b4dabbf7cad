package process

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Listening is the id of the process of this machine that listens on a TCP
// address, 0 where there is none, or none that may be seen.
func Listening(address string) (pid int) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return 0
	}
	sockets := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, _ := os.ReadFile(table) // without IPv6 there is no second one
		for line := range strings.Lines(string(text)) {
			const local, state, inode, listens = 1, 3, 9, "0A"
			f := strings.Fields(line)
			if len(f) <= inode || f[state] != listens {
				continue
			}
			_, hex, _ := strings.Cut(f[local], ":")
			if p, err := strconv.ParseInt(hex, 16, 32); err == nil && int(p) == n {
				sockets["socket:["+f[inode]+"]"] = true
			}
		}
	}
	files, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, file := range files {
		if to, err := os.Readlink(file); err == nil && sockets[to] {
			pid, _ := strconv.Atoi(strings.Split(file, "/")[2])
			return pid
		}
	}
	return 0
}
