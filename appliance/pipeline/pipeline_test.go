package pipeline

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"vitrine/appliance/config"
	"vitrine/appliance/httpapi/adminapi"
	"vitrine/bridge"
	"vitrine/bridge/archive"
	"vitrine/bridge/archive/follow"
	"vitrine/bridge/deadletter"
	"vitrine/bridge/jetstream"
)

func TestLost(t *testing.T) {
	losses := []jetstream.Loss{{First: 20, Last: 25}, {First: 5, Last: 9}}
	for behind, want := range map[uint64]uint64{0: 5, 4: 5, 5: 6, 9: 20, 22: 23, 25: 0} {
		if got := Lost(&jetstream.Stats{Losses: losses}, behind); got != want {
			t.Errorf("behind %d: %d, want %d", behind, got, want)
		}
	}
	// Frame 3 may be lost, for the list does not go so far back.
	for behind, want := range map[uint64]uint64{0: 1, 2: 3, 3: 5} {
		if got := Lost(&jetstream.Stats{Losses: losses, UnlistedLast: 3}, behind); got != want {
			t.Errorf("behind %d, with some not listed: %d, want %d", behind, got, want)
		}
	}
}

// state is a bus with the figures of a test.
type state struct {
	Bus
	stats   jetstream.Stats
	damaged chan struct{}
}

func (s *state) Stats(context.Context) jetstream.Stats { return s.stats }
func (s *state) Damaged() <-chan struct{}              { return s.damaged }

func TestWatch(t *testing.T) {
	b := &state{damaged: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Watch(ctx, b); err != nil {
		t.Error(err)
	}
	close(b.damaged)
	if err := Watch(t.Context(), b); !errors.Is(err, jetstream.ErrDamaged) {
		t.Error(err)
	}
}

// Each way in which a bus takes nothing, or takes it elsewhere, has a state, and
// the worst of them is told.
func TestBusStates(t *testing.T) {
	dir := t.TempDir()
	a, err := archive.Open(t.Context(), archive.Options{Dir: filepath.Join(dir, "archive")})
	if err != nil {
		t.Fatal(err)
	}
	letters, err := deadletter.Open(deadletter.Options{Dir: filepath.Join(dir, "letters")})
	if err != nil {
		t.Fatal(err)
	}
	defer letters.Close()
	broken := errors.New("broken")
	for _, tc := range []struct {
		stats jetstream.Stats
		want  adminapi.PipelineBusState
	}{
		{jetstream.Stats{}, adminapi.BusOk},
		{jetstream.Stats{Full: true}, adminapi.BusFull},
		{jetstream.Stats{Full: true, Short: true}, adminapi.BusDiskFull},
		{jetstream.Stats{Away: broken}, adminapi.BusAside},
		{jetstream.Stats{Down: broken, Short: true}, adminapi.BusDown},
	} {
		bus := &state{stats: tc.stats}
		p := &Parts{Bus: bus, Pump: bridge.New(nil, nil, bridge.Options{}), Archive: a, Follower: follow.New(a, nil, follow.Options{}), Letters: letters}
		got := p.Status(t.Context()).Bus
		if got.State != tc.want || (got.Error == nil) != (tc.want == adminapi.BusOk) {
			t.Errorf("%+v: %s %v, want %s", tc.stats, got.State, got.Error, tc.want)
		}
	}
}

// The log opens where the configuration says, and a cluster that is not there is
// an error and no bus.
func TestOpenBus(t *testing.T) {
	c := config.Default().Bus
	b, err := OpenBus(t.Context(), c, jetstream.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	c.URL, c.TLSCA = "tls://127.0.0.1:1", "/nowhere"
	if b, err := OpenBus(t.Context(), c, jetstream.Options{Dir: t.TempDir()}); err == nil || b != nil {
		t.Fatal(b, err)
	}
}
