package archive

import (
	"testing"

	"vitrine/bridge/event"
)

func moved(kind event.Kind, id, into string) event.Record {
	return event.Record{Kind: kind, User: event.User{ID: id, Into: into, Time: day0}}
}

// TestOwners: what came before an erasure is nobody's, what came before a
// merge another's, and what comes after is the user's own again.
func TestOwners(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	commit(t, a, // bus messages 1 to 6
		user("u1", "north"), moved(event.KindUserErase, "u1", ""), moved(event.KindUserMerge, "guest", "u2"),
		moved(event.KindUserMerge, "u2", "u3"), moved(event.KindUserErase, "guest", ""), put("i1", 1))
	commit(t, a, moved(event.KindUserMerge, "u1", "u1x"), moved(event.KindUserMerge, "a", "b"), moved(event.KindUserMerge, "b", "a"))
	o, err := a.Owners(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if o.None() || o.Moved("u3") || !o.Moved("guest") {
		t.Error("who was moved is not known")
	}
	for _, g := range []struct {
		user string
		seq  uint64
		want string
	}{
		{"u1", 1, ""},
		{"u1", 2, ""},
		{"u1", 3, "u1x"},
		{"u1", 7, "u1x"},
		{"u1", 8, "u1"},
		{"guest", 1, "u3"},
		{"guest", 3, "u3"},
		{"guest", 4, ""},
		{"guest", 6, "guest"},
		{"u2", 4, "u3"},
		{"u2", 5, "u2"},
		{"u9", 1, "u9"},
		{"a", 1, "a"},
		{"b", 1, "a"}, // one into the other, and back
	} {
		if got := o.Of(g.user, g.seq); got != g.want {
			t.Errorf("an event of %s in message %d is of %q, want %q", g.user, g.seq, got, g.want)
		}
	}
}
