package profile

import (
	"slices"
	"testing"

	"vitrine/appliance/signal"
	"vitrine/bridge/event"
)

// TestMergeEqualsBeingOne: a guest's history in an account is what it had been
// if all had been the account's from the beginning; an erased one is empty.
func TestMergeEqualsBeingOne(t *testing.T) {
	sig := newSignal(t, signal.Config{})
	codes := newTable()
	s, one := New(sig, codes), New(sig, codes)
	var apart, together []event.Record
	for n := range int64(40) {
		user := []string{"guest", "u1"}[n%2]
		apart = append(apart, record(user, string('a'+rune(n%7)), "view", 100-n))
		together = append(together, record("u1", string('a'+rune(n%7)), "view", 100-n))
	}
	s.Apply(1, apart)
	before, _ := s.History(codes.users["guest"], nil)
	s.Apply(2, []event.Record{{Kind: event.KindUserMerge, User: event.User{ID: "guest", Into: "u1"}}})
	one.Apply(1, together)
	got, seq := s.History(codes.users["u1"], nil)
	want, _ := one.History(codes.users["u1"], nil)
	if !slices.EqualFunc(got, want, same) || seq == 0 || len(before) != 20 {
		t.Errorf("%d events, want %d", len(got), len(want))
	}
	if left, _ := s.History(codes.users["guest"], nil); len(left) != 0 {
		t.Errorf("the guest still has %d events", len(left))
	}
	s.Apply(3, []event.Record{{Kind: event.KindUserMerge, User: event.User{ID: "u1", Into: "u1"}}})
	if again, _ := s.History(codes.users["u1"], nil); len(again) != len(want) {
		t.Errorf("merged into himself he has %d events", len(again))
	}
	recent := s.Recent(codes.users["u1"], nil)
	if len(recent) != len(want) || recent[0].Time != 100 || recent[0].Type != "view" || recent[0].HasValue {
		t.Errorf("recent: %+v", recent[0])
	}
	s.Apply(4, []event.Record{
		{Kind: event.KindUserErase, User: event.User{ID: "u1"}}, record("u1", "new", "view", 50),
	})
	if left, after := s.History(codes.users["u1"], nil); len(left) != 1 || after <= seq {
		t.Errorf("after the erasure: %v, sequence %d after %d", left, after, seq)
	}
}
