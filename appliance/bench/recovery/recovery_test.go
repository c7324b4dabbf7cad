package recovery

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// shop remembers the events that it has taken.
type shop struct {
	mu     sync.Mutex
	events map[string]bool
	server *httptest.Server
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v1/recommend" {
		fmt.Fprint(w, `{"items":[],"source":"live"}`)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	accepted, duplicate := 0, 0
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		if line := lines.Text(); s.events[line] {
			duplicate++
		} else {
			s.events[line] = true
			accepted++
		}
	}
	w.WriteHeader(http.StatusAccepted)
	fmt.Fprintf(w, `{"accepted":%d,"duplicate":%d}`, accepted, duplicate)
}

func (s *shop) start(context.Context) (string, error) {
	s.server = httptest.NewServer(s)
	return strings.TrimPrefix(s.server.URL, "http://"), nil
}

func (s *shop) kill() {
	s.server.CloseClientConnections()
	s.server.Close()
}

// An event that a restart forgets is counted.
func TestLost(t *testing.T) {
	for _, forgets := range []bool{false, true} {
		s := &shop{events: map[string]bool{}}
		address, _ := s.start(t.Context())
		d := &Daemon{Users: []string{"u1", "u2"}, Items: []string{"i1"}, Kill: s.kill, Start: func(ctx context.Context) (string, error) {
			if forgets {
				clear(s.events)
			}
			return s.start(ctx)
		}}
		b := &Bench{Ingest: time.Second, Repetitions: 1, Progress: func(string, int64, int64) {}}
		if err := b.Run(t.Context(), address, d); err != nil {
			t.Fatal(err)
		}
		s.kill()
		acknowledged, lost := b.Figures[2].Value, b.Figures[3].Value
		if acknowledged == 0 || forgets && lost != acknowledged || !forgets && lost != 0 {
			t.Errorf("forgets %v: %g acknowledged, %g lost", forgets, acknowledged, lost)
		}
	}
}
