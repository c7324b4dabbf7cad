package gap_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"vitrine/appliance/bench/gap"
)

func TestAnswer(t *testing.T) {
	ask, in := io.Pipe()
	answers, out := io.Pipe()
	go gap.Answer(ask, out)
	g := gap.NewMeter()
	g.Ask = in
	go func() {
		for {
			var text [64]byte
			n, err := answers.Read(text[:])
			if err != nil {
				return
			}
			g.Line(strings.TrimSpace(string(text[:n])))
		}
	}()
	if _, err := g.Take(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The ticker has its first gap when it has ticked, whenever that is.
	longest := time.Duration(0)
	for deadline := time.Now().Add(time.Minute); longest == 0 && time.Now().Before(deadline); {
		var err error
		if longest, err = g.Take(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if longest <= 0 || longest > time.Minute {
		t.Errorf("gap %s", longest)
	}
	_ = in.Close()
}
