package child

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

type job struct{ Do string }

const childWord = "compile"

// TestMain is also the child.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == childWord {
		var j job
		if Serve(os.Stdin, os.Stdout, &j, func(module []byte) error { return do(j.Do, module) }) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

var room []byte

func do(what string, module []byte) error {
	switch what {
	case "compare":
		if !bytes.Equal(module, []byte("two\nlines")) {
			return fmt.Errorf("got %q", module)
		}
		return nil
	case "refuse":
		return errors.New("not this one\nand why not")
	case "die":
		fmt.Fprintln(os.Stderr, "\nlast words\nand more")
		os.Exit(3)
	case "grow":
		room = make([]byte, 2*memory)
	}
	return nil
}

func TestRun(t *testing.T) {
	self := []string{os.Args[0], childWord}
	for what, want := range map[string]string{
		"compare": "",
		"refuse":  "not this one",
		"die":     "limits: 20s processor time, 1024 MiB): exit status 3: last words",
		"grow":    "1024 MiB): exit status 2: ", // the race detector's memory ends in other words
	} {
		err := Run(t.Context(), self, job{what}, []byte("two\nlines"))
		if said := fmt.Sprint(err); !strings.Contains(said, cmp.Or(want, "<nil>")) || strings.Contains(said, "\n") {
			t.Errorf("%s: %v, want %q", what, err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Run(ctx, self, job{"compare"}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := Run(t.Context(), []string{"/nowhere"}, job{}, nil); err == nil || !strings.Contains(err.Error(), "/nowhere") {
		t.Errorf("no program: %v", err)
	}
}

// A module that is cut off on its way is not compiled.
func TestModuleIsWhole(t *testing.T) {
	for _, in := range []string{"", "{\n", `{"job":{"Do":"compare"},"length":20}` + "\ntwo\nlines", `{"job":{"Do":"compare"},"length":3}` + "\ntwo\nlines"} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], childWord)
		cmd.Stdin = strings.NewReader(in)
		out, err := cmd.Output()
		if err == nil || !strings.Contains(string(out), `"error":"`) || strings.Contains(string(out), "got ") {
			t.Errorf("%q: %s, %v", in, out, err)
		}
	}
}
