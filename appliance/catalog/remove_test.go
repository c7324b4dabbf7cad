package catalog

import (
	"testing"

	"vitrine/appliance/frame"
	"vitrine/bridge/event"
)

// TestDeletedItem: it must not be shown and has no attributes, not even in the
// columns, until it is put again; then nothing of before comes back.
func TestDeletedItem(t *testing.T) {
	c := New()
	c.Apply(1, []event.Record{{Kind: event.KindItemPut, Item: event.Item{ID: "i1", Time: 5, ExpiresAt: 1000, Attributes: []event.Attribute{text("a", "x")}}}})
	code, _ := c.ItemCode("i1")
	c.Apply(2, []event.Record{{Kind: event.KindItemDelete, Item: event.Item{ID: "i1", Time: 6}}})
	if _, ok := c.Item(code); ok || !c.Expired(code, 0) {
		t.Error("a deleted item is there")
	}
	var cell [1]uint32
	if c.Column(frame.ItemScope, "a").Gather(cell[:], []uint32{code}); cell[0] != 0 {
		t.Error("a deleted item is in the column")
	}
	c.Apply(3, []event.Record{{Kind: event.KindItemPatch, Item: event.Item{ID: "i1", Time: 7, Attributes: []event.Attribute{text("b", "y")}}}})
	it, ok := c.Item(code)
	if !ok || c.Expired(code, 0) || len(it.Attributes) != 1 || it.ExpiresAt != 0 || c.Listed(code) != 5 {
		t.Errorf("after a patch: %+v %v, listed %d", it, ok, c.Listed(code))
	}
	c.Apply(4, []event.Record{{Kind: event.KindItemDelete, Item: event.Item{ID: "never"}}})
	if never, _ := c.ItemCode("never"); !c.Expired(never, 0) {
		t.Error("an item that was deleted before it came is shown")
	}
}

func TestErasedAndMergedUsers(t *testing.T) {
	c := New()
	put := func(id string, list ...event.Attribute) event.Record {
		return event.Record{Kind: event.KindUserPut, User: event.User{ID: id, Attributes: list}}
	}
	c.Apply(1, []event.Record{
		put("u1", text("a", "x")), put("guest", text("a", "guest"), text("b", "y")),
		{Kind: event.KindUserMerge, User: event.User{ID: "guest", Into: "u1"}},
		put("u2", text("a", "z")),
		{Kind: event.KindUserErase, User: event.User{ID: "u2", Time: 77}},
	})
	user := func(id string) (event.User, bool) {
		code, _ := c.UserCode(id)
		return c.User(code)
	}
	if u, _ := user("u1"); len(u.Attributes) != 2 || u.Attributes[0].Value.Str != "x" || u.Attributes[1].Value.Str != "y" {
		t.Errorf("the account has %+v", u)
	}
	for _, id := range []string{"guest", "u2"} {
		if u, ok := user(id); ok {
			t.Errorf("%s is there: %+v", id, u)
		}
	}
	if at, ok := c.Erased("u2"); !ok || at != 77 {
		t.Errorf("erased at %d %v", at, ok)
	}
	for _, id := range []string{"u1", "guest", "nobody"} {
		if _, ok := c.Erased(id); ok {
			t.Errorf("%s was erased", id)
		}
	}
}
