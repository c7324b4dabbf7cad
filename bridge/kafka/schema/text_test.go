package schema

import (
	"encoding/json"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestText: what is written is what encoding/json has, but for decimals, which are
// numbers; what it refuses is refused.
func TestText(t *testing.T) {
	for name, v := range map[string]any{
		"null": nil, "text": "a\"\\\n<b>\u2028\x00", "no UTF-8": "a\xffb", "true": true, "int": int32(-7), "long": int64(math.MinInt64), "unsigned": uint64(math.MaxUint64),
		"float": float32(0.1), "double": 1e20, "large": 1e21, "small": 1e-7, "zero": math.Copysign(0, -1), "not a number": math.NaN(), "endless": math.Inf(1),
		"bytes": []byte("\x00\xff"), "fixed": [2]byte{1, 2}, "time": time.UnixMilli(1760000000123).UTC(), "far": time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), "of a day": time.Minute,
		"list": []any{int32(1), "a", nil, []any{}}, "map": map[string]any{"b": map[string]any{}, "a\n": []any{math.Pi}}, "inexact": big.NewRat(1, 3), "no form": func() {},
	} {
		fields := map[string]any{"field": v, "last": int32(1)}
		want, refused := json.Marshal(fields)
		got, inv := text(fields, 10)
		if (inv != nil) != (refused != nil) || inv != nil && (inv.Code != CodeInvalid || !strings.Contains(inv.Detail, "field")) {
			t.Errorf("%s: %v, want %v", name, inv, refused)
		}
		if inv == nil && !reflect.DeepEqual(parsed(t, got), parsed(t, want)) {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if got, inv := text(map[string]any{"a": big.NewRat(1999, 100), "b": big.NewRat(5, 1)}, 10); inv != nil || string(got) != `{"a":19.99,"b":5}` {
		t.Errorf("%s %v", got, inv)
	}
	if got, inv := text(map[string]any{"id": 1e20}, 10); inv != nil || string(got) != `{"id":100000000000000000000}` {
		t.Errorf("%s %v", got, inv)
	}
}

func parsed(t *testing.T, text []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Errorf("%s: %v", text, err)
	}
	return v
}

// BenchmarkAvro makes JSON of an interaction.
func BenchmarkAvro(b *testing.B) {
	const s = `{"type":"record","name":"E","fields":[{"name":"user_id","type":"string"},{"name":"item_id","type":"string"},{"name":"event_type","type":{"type":"enum","name":"K","symbols":["view","cart"]}},` +
		`{"name":"ts","type":["null",{"type":"long","logicalType":"timestamp-millis"}]},{"name":"value","type":"double"},{"name":"session_id","type":["null","string"]},{"name":"props","type":{"type":"map","values":"string"}}]}`
	a := reader(b, Options{File: write(b, s)})
	value := encodeAvro(b, s, -1, map[string]any{
		"user_id": "user-12345", "item_id": "item-777", "event_type": "view", "ts": int64(1760000000000), "value": 2.5, "session_id": "s-1234", "props": map[string]any{"device": "phone", "ref": "mail"},
	})
	b.ReportAllocs()
	for b.Loop() {
		if _, inv := a.JSON(value); inv != nil {
			b.Fatal(inv)
		}
	}
}
