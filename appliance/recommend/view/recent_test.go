package view

import "testing"

// TestRecent: the newest of a name takes the place of the one before, and of more
// names than there is room for the oldest go.
func TestRecent(t *testing.T) {
	type one struct{ name, version int }
	var r recent[one]
	named := func(name int) func(*one) bool { return func(o *one) bool { return o.name == name } }
	if got := r.find(named(1)); got != nil {
		t.Errorf("of nothing it finds %v", got)
	}
	for version := range 2 {
		for name := range maxRecent {
			r.put(&one{name, version}, named(name))
		}
	}
	for name := range maxRecent {
		if got := r.find(named(name)); got == nil || got.version != 1 {
			t.Errorf("%d: %v", name, got)
		}
	}
	if n := len(*r.last.Load()); n != maxRecent {
		t.Errorf("%d are kept", n)
	}
	r.put(&one{name: maxRecent}, named(maxRecent))
	if r.find(named(0)) != nil || r.find(named(1)) == nil || r.find(named(maxRecent)) == nil {
		t.Error("another than the oldest went")
	}
	if n := testing.AllocsPerRun(100, func() { r.find(named(1)) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
