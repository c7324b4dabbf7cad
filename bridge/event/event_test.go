package event

import (
	"math"
	"strings"
	"testing"
	"time"
)

// known is a Types of a fixed list.
type known []string

func (k known) Known(t string) bool {
	for _, s := range k {
		if s == t {
			return true
		}
	}
	return false
}

// shopTypes are the types the tests configure.
var shopTypes = known{"view", "purchase", "rating", "remove"}

func TestValidate(t *testing.T) {
	ok := Event{UserID: "u", ItemID: "i", Type: "view", Time: 1}
	long := strings.Repeat("x", MaxID+1)
	for _, tc := range []struct {
		name string
		bend func(e *Event)
		code string
	}{
		{"as it is", func(*Event) {}, ""},
		{"no user", func(e *Event) { e.UserID = "" }, CodeMissingUser},
		{"no item", func(e *Event) { e.ItemID = "" }, CodeMissingItem},
		{"no type", func(e *Event) { e.Type = "" }, CodeMissingType},
		{"type not configured", func(e *Event) { e.Type = "wishlist" }, CodeUnknownType},
		{"long type", func(e *Event) { e.Type = long[:MaxType+1] }, CodeInvalidType},
		{"type with a tab", func(e *Event) { e.Type = "a\tb" }, CodeInvalidType},
		{"longest user", func(e *Event) { e.UserID = long[:MaxID] }, ""},
		{"long user", func(e *Event) { e.UserID = long }, CodeInvalidID},
		{"user with a line break", func(e *Event) { e.UserID = "a\nb" }, CodeInvalidID},
		{"user with DEL", func(e *Event) { e.UserID = "a\x7f" }, CodeInvalidID},
		{"user with a C1 control", func(e *Event) { e.UserID = "\u0085" }, CodeInvalidID},
		{"user not UTF-8", func(e *Event) { e.UserID = "a\xff" }, CodeInvalidUTF8},
		{"user of other letters", func(e *Event) { e.UserID = "\u7528\u6237 \u00e9" }, ""},
		{"item too long", func(e *Event) { e.ItemID = long }, CodeInvalidID},
		{"value zero", func(e *Event) { e.HasValue = true }, ""},
		{"value negative", func(e *Event) { e.Value, e.HasValue = -1, true }, CodeInvalidValue},
		{"value negative in a remove", func(e *Event) { e.Type, e.Value, e.HasValue = "remove", -1, true }, ""},
		{"value NaN", func(e *Event) { e.Value, e.HasValue = math.NaN(), true }, CodeInvalidValue},
		{"value infinite", func(e *Event) { e.Value, e.HasValue = math.Inf(1), true }, CodeInvalidValue},
		{"price infinite", func(e *Event) { e.Price, e.HasPrice = math.Inf(1), true }, CodeInvalidValue},
		{"price negative", func(e *Event) { e.Price, e.HasPrice = -11.5, true }, ""},
		{"position negative", func(e *Event) { e.Position = -1 }, CodeInvalidValue},
		{"before 1970", func(e *Event) { e.Time = -1 }, CodeInvalidTime},
		{"after 9999", func(e *Event) { e.Time = maxTime + 1 }, CodeInvalidTime},
		{"event_id too long", func(e *Event) { e.EventID = long }, CodeInvalidID},
		{"session_id with NUL", func(e *Event) { e.SessionID = "\x00" }, CodeInvalidID},
		{"props too large", func(e *Event) { e.Props = strings.Repeat("x", MaxProps+1) }, CodeTooLarge},
	} {
		e := ok
		tc.bend(&e)
		inv := e.Validate(shopTypes)
		if got := code(inv); got != tc.code {
			t.Errorf("%s: code %q (%v), want %q", tc.name, got, inv, tc.code)
		}
	}
	odd := Event{UserID: "u", ItemID: "i", Type: "wishlist"}
	if inv := odd.Validate(nil); inv != nil {
		t.Errorf("without types every type passes, got %v", inv)
	}
	if inv := odd.Validate(shopTypes); !strings.Contains(inv.Detail, "[ingest.types]") {
		t.Errorf("the detail does not say what to do: %s", inv.Detail)
	}
}

// code is the code of inv, empty for nil.
func code(inv *Invalid) string {
	if inv == nil {
		return ""
	}
	return inv.Code
}

func TestNormalize(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	e := Event{Type: "remove", Value: -3, HasValue: true}
	if e.Normalize(now) || e.Time != now.UnixMilli() || e.Value != 3 {
		t.Errorf("missing time and signed remove: %+v", e)
	}
	e = Event{Type: "view", Time: now.UnixMilli() + MaxAhead.Milliseconds()}
	if e.Normalize(now) {
		t.Error("five minutes ahead must not be clamped")
	}
	e.Time++
	if !e.Normalize(now) || e.Time != now.UnixMilli()+MaxAhead.Milliseconds() {
		t.Errorf("beyond five minutes must be clamped to five: %+v", e)
	}
}

func TestItemValidate(t *testing.T) {
	number := func(name string) Attribute { return Attribute{name, Value{Kind: Number, Num: 1}} }
	for _, tc := range []struct {
		name string
		item Item
		code string
	}{
		{"bare", Item{ID: "i"}, ""},
		{"no id", Item{}, CodeMissingItem},
		{"bad id", Item{ID: "\n"}, CodeInvalidID},
		{"expires before 1970", Item{ID: "i", ExpiresAt: -1}, CodeInvalidTime},
		{"sorted", Item{ID: "i", Attributes: []Attribute{number("a"), number("b")}}, ""},
		{"twice", Item{ID: "i", Attributes: []Attribute{number("a"), number("a")}}, CodeInvalidAttribute},
		{"no kind", Item{ID: "i", Attributes: []Attribute{{Name: "a"}}}, CodeInvalidAttribute},
		{"NaN", Item{ID: "i", Attributes: []Attribute{{"a", Value{Kind: Number, Num: math.NaN()}}}}, CodeInvalidAttribute},
		{"set not sorted", Item{ID: "i", Attributes: []Attribute{{"a", Value{Kind: Set, Set: []string{"b", "a"}}}}}, CodeInvalidAttribute},
		{"shown from a day on", Item{ID: "i", Attributes: []Attribute{{AvailableFrom, Value{Kind: String, Str: "2026-12-01"}}}}, ""},
		{"shown from a second on", Item{ID: "i", Attributes: []Attribute{{AvailableFrom, Value{Kind: Number, Num: 1796083200}}}}, ""},
		{"shown as before", Item{ID: "i", Attributes: []Attribute{{AvailableFrom, Value{Kind: Removed}}}}, ""},
		{"shown soon", Item{ID: "i", Attributes: []Attribute{{AvailableFrom, Value{Kind: String, Str: "soon"}}}}, CodeInvalidAttribute},
		{"shown before 1970", Item{ID: "i", Attributes: []Attribute{{AvailableFrom, Value{Kind: Number, Num: -1}}}}, CodeInvalidAttribute},
		{"shown from true on", Item{ID: "i", Attributes: []Attribute{{AvailableFrom, Value{Kind: Bool, Bool: true}}}}, CodeInvalidAttribute},
		{"text not UTF-8", Item{ID: "i", Attributes: []Attribute{{"a", Value{Kind: String, Str: "\xff"}}}}, CodeInvalidUTF8},
	} {
		if got := code(tc.item.Validate()); got != tc.code {
			t.Errorf("%s: code %q, want %q", tc.name, got, tc.code)
		}
	}
}

func TestUserValidate(t *testing.T) {
	for _, tc := range []struct {
		name string
		user User
		code string
	}{
		{"bare", User{ID: "u"}, ""},
		{"no id", User{}, CodeMissingUser},
		{"long id", User{ID: strings.Repeat("u", MaxID+1)}, CodeInvalidID},
		{"before 1970", User{ID: "u", Time: -1}, CodeInvalidTime},
		{"no kind", User{ID: "u", Attributes: []Attribute{{Name: "a"}}}, CodeInvalidAttribute},
		{"of no shelf", User{ID: "u", Attributes: []Attribute{{AvailableFrom, Value{Kind: String, Str: "soon"}}}}, ""},
		{"removed", User{ID: "u", Attributes: []Attribute{{"a", Value{Kind: Removed}}}}, ""},
	} {
		if got := code(tc.user.Validate()); got != tc.code {
			t.Errorf("%s: code %q, want %q", tc.name, got, tc.code)
		}
	}
}
