package listquery

import (
	"slices"
	"testing"

	"vitrine/appliance/httpapi/publicapi"
)

// shop has these items.
type shop map[string]bool

func (s shop) Seen(id string) bool { return s[id] }

// TestSpread: several ids may stand in one parameter, as long as they are not the
// id of an item.
func TestSpread(t *testing.T) {
	items := shop{"i1": true, "a,b": true, "[7]": true}
	for _, c := range []struct{ give, want []string }{
		{nil, nil},
		{[]string{"i1", "new"}, []string{"i1", "new"}},
		{[]string{"i1,i2", "i3"}, []string{"i1", "i2", "i3"}},
		{[]string{"i1", "i2,", ",i3,,i4"}, []string{"i1", "i2", "i3", "i4"}},
		{[]string{"a,b"}, []string{"a,b"}},
		{[]string{"a,b,c"}, []string{"a", "b", "c"}},
		{[]string{`["i1","i2"]`}, []string{"i1", "i2"}},
		{[]string{`["a,b",40]`}, []string{"a,b", "40"}},
		{[]string{"[7]", "[8]"}, []string{"[7]", "8"}},
		{[]string{"[promo]"}, []string{"[promo]"}},
		{[]string{"[]"}, []string{}},
		{[]string{","}, []string{","}},
	} {
		body := publicapi.RecommendRequest{Session: slices.Clone(c.give), Exclude: slices.Clone(c.give)}
		Spread(&body, items)
		if !slices.Equal(body.Session, c.want) || !slices.Equal(body.Exclude, c.want) {
			t.Errorf("%q: session %q, exclude %q, want %q", c.give, body.Session, body.Exclude, c.want)
		}
	}
}

// TestSpreadKeepsMemory: what is usual costs no memory.
func TestSpreadKeepsMemory(t *testing.T) {
	body := publicapi.RecommendRequest{Session: []string{"i1", "i2"}, Exclude: []string{"a,b"}}
	items := shop{"a,b": true}
	if n := testing.AllocsPerRun(100, func() { Spread(&body, items) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
