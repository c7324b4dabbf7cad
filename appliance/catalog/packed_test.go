package catalog

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"vitrine/bridge/event"
)

// everyKind is a list with a value of each kind, and the edges of each.
func everyKind() []event.Attribute {
	list := []event.Attribute{
		text("empty", ""), text("long", strings.Repeat("ä", 2000)), text("name", "lamp"),
		{Name: "no", Value: event.Value{Kind: event.Bool}},
		{Name: "none", Value: event.Value{Kind: event.Set, Set: []string{}}},
		{Name: "tags", Value: event.Value{Kind: event.Set, Set: []string{"", "a", strings.Repeat("b", 300)}}},
		{Name: "yes", Value: event.Value{Kind: event.Bool, Bool: true}},
	}
	for i, n := range []float64{0, math.Copysign(0, -1), 249, -1e-300, math.MaxFloat64} {
		list = append(list, event.Attribute{Name: fmt.Sprint("z", i), Value: event.Value{Kind: event.Number, Num: n}})
	}
	return list
}

func TestPacked(t *testing.T) {
	for _, list := range [][]event.Attribute{nil, everyKind(), everyKind()[:1], everyKind()[4:6]} {
		_, p := pack(nil, list)
		if got := p.list(nil); !reflect.DeepEqual(got, list) {
			t.Errorf("%+v became %+v", list, got)
		}
		for _, at := range list {
			if v, ok := p.find(at.Name); !ok || !reflect.DeepEqual(v, at.Value) {
				t.Errorf("%s is %+v, %v", at.Name, v, ok)
			}
		}
		for _, name := range []string{"", "a", "name2", "zz"} {
			if v, ok := p.find(name); ok {
				t.Errorf("%q, which is not there, is %+v", name, v)
			}
		}
	}
}

// FuzzPacked packs what a shop may send: it comes back as it was.
func FuzzPacked(f *testing.F) {
	f.Add(`{"name":"lamp","price":249.5,"new":true,"tags":["a","b"],"old":false,"none":[]}`)
	f.Add(`{}`)
	f.Fuzz(func(t *testing.T, object string) {
		list, invalid := event.ParseAttributes([]byte(object))
		if invalid != nil {
			return
		}
		_, p := pack([]byte("left of before"), list)
		if got := p.list(nil); len(got) != len(list) || len(list) > 0 && !reflect.DeepEqual(got, list) {
			t.Errorf("%+v became %+v", list, got)
		}
		for _, at := range list {
			if v, ok := p.find(at.Name); !ok || !reflect.DeepEqual(v, at.Value) {
				t.Errorf("%s is %+v, %v", at.Name, v, ok)
			}
		}
	})
}

// BenchmarkPacked reads the list of an item of eight attributes. The limit is
// writing 8 x 80 bytes, some 50 ns.
func BenchmarkPacked(b *testing.B) {
	list := []event.Attribute{text("brand", "Plano"), text("category", "kitchen"), text("colour", "red"), text("name", "Oak table"), text("region", "north")}
	for _, name := range []string{"price", "rating", "stock"} {
		list = append(list, event.Attribute{Name: name, Value: event.Value{Kind: event.Number, Num: 249}})
	}
	_, p := pack(nil, list)
	b.Run("list", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			list = p.list(list[:0])
		}
	})
	b.Run("find", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			p.find("stock")
		}
	})
}
