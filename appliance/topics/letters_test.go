package topics

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"vitrine/bridge/deadletter"
)

// shelf takes letters and knows none of them, but where known is set.
type shelf struct {
	known bool
	err   error
}

func (s *shelf) Add(_ context.Context, some []deadletter.Letter) (added int, err error) {
	if s.known || s.err != nil {
		return 0, s.err
	}
	return len(some), nil
}

// TestRefusalsAreTold: the first refused record of a topic is told at once, those that
// follow with their number and not too often, and none that was told before a start.
func TestRefusalsAreTold(t *testing.T) {
	var said bytes.Buffer
	now := time.Unix(1e9, 0)
	kept := &shelf{}
	l := &letters{Letters: kept, log: slog.New(slog.NewTextHandler(&said, nil)), now: func() time.Time { return now }, topics: map[string]*refusals{}}
	add := func(topic string, n int) string {
		t.Helper()
		said.Reset()
		some := make([]deadletter.Letter, n)
		for i := range some {
			some[i] = deadletter.Letter{Source: topic, Partition: 3, Offset: int64(7 + i), Code: "missing_user_id", Detail: "user_id is missing"}
		}
		if _, err := l.Add(t.Context(), some); !errors.Is(err, kept.err) {
			t.Fatal(err)
		}
		return said.String()
	}
	first := add("user-events", 2)
	for _, want := range []string{"source=user-events count=2 partition=3 first=7 code=missing_user_id", "reason=\"user_id is missing\"", "vitrine deadletters list", "kafka.map"} {
		if !strings.Contains(first, want) || strings.Count(first, "\n") != 1 {
			t.Errorf("%s lacks %s", first, want)
		}
	}
	if text := add("user-events", 5); text != "" {
		t.Errorf("told again at once: %s", text)
	}
	if text := add("items", 1); !strings.Contains(text, "source=items count=1") {
		t.Errorf("of another topic: %q", text)
	}
	now = now.Add(tellEvery)
	kept.known = true
	if text := add("user-events", 5); text != "" {
		t.Errorf("known ones: %s", text)
	}
	kept.known, kept.err = false, errors.New("the disk is full")
	if text := add("user-events", 5); text != "" {
		t.Errorf("ones that were not kept: %s", text)
	}
	kept.err = nil
	if text := add("user-events", 1); !strings.Contains(text, "count=6") {
		t.Errorf("later: %q", text)
	}
}
