package schema

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/twmb/avro"
)

// rec is a record of fields.
func rec(name string, types ...string) string {
	var fields []string
	for i, t := range types {
		if !strings.HasPrefix(t, "{") && !strings.HasPrefix(t, "[") {
			t = `"` + t + `"`
		}
		fields = append(fields, fmt.Sprintf(`{"name":"f%d","type":%s}`, i, t))
	}
	return fmt.Sprintf(`{"type":"record","name":%q,"fields":[%s]}`, name, strings.Join(fields, ","))
}

func list(of string) string { return strings.Replace(`{"type":"array","items":X}`, "X", of, 1) }

func times(n int, t string) []string {
	return strings.Split(strings.Repeat(t+"\x00", n)[:n*(len(t)+1)-1], "\x00")
}

// TestBearable: schemas by which few bytes become a great many are not used; those of
// shops are.
func TestBearable(t *testing.T) {
	const price = `{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}`
	doubled := rec("L0")
	for i := range 30 { // each has two of the one before, of which the last has nothing
		doubled = rec(fmt.Sprint("L", i+1), doubled, fmt.Sprint("L", i))
	}
	for name, test := range map[string]struct {
		schema string
		heavy  bool
	}{
		"an event":                {avroFirst, false},
		"prices":                  {rec("E", "string", list(rec("Line", "string", price, `["null","string"]`))), false},
		"many that may be null":   {rec("E", times(2000, `["null","string"]`)...), false},
		"a few nulls":             {rec("E", append(times(20, "null"), "string")...), false},
		"a tree":                  {rec("E", "string", `["null","E"]`, list(`"E"`)), false},
		"flags":                   {rec("E", list(rec("F", "boolean")), `{"type":"map","values":"boolean"}`), false},
		"a large decimal":         {rec("E", "string", `{"type":"bytes","logicalType":"big-decimal"}`), false},
		"a name of a namespace":   {`{"type":"record","name":"a.E","fields":[{"name":"x","type":{"type":"enum","name":"K","symbols":["v"]}},{"name":"y","type":{"type":"array","items":"K"}}]}`, false},
		"nulls in a list":         {rec("E", list(`"null"`)), true},
		"records of nothing":      {rec("E", list(rec("F"))), true},
		"lists of lists of them":  {rec("E", list(list(`"null"`))), true},
		"many nulls in each":      {rec("E", list(rec("F", append(times(100, "null"), "boolean")...))), true},
		"in each of a map":        {rec("E", `{"type":"map","values":`+rec("F", times(100, "null")...)+`}`), true},
		"by name":                 {rec("E", rec("F"), list(`"F"`)), true},
		"by name, in a namespace": {rec("a.E", rec("F"), list(`"F"`)), true},
		"by the name of another":  {rec("a.E", rec("b.F"), list(`"b.F"`)), true},
		"hidden":                  {rec("E", rec("F"), list(`"F"`), `{"type":"int","items":`+rec("F", "string")+`}`), true},
		"in a branch":             {rec("E", list(`["null",`+rec("F", times(100, "null")...)+`]`)), true},
		"doubled":                 {doubled, true},
		"fixed of nothing":        {rec("E", list(`{"type":"fixed","name":"F","size":0}`)), true},
		"places":                  {rec("E", list(`{"type":"bytes","logicalType":"decimal","precision":60000,"scale":60000}`)), true},
		"places that values say":  {rec("E", list(`{"type":"bytes","logicalType":"big-decimal"}`)), true},
	} {
		s, err := avro.Parse(test.schema)
		if err != nil {
			t.Fatal(name, err)
		}
		if err := bearable(s); errors.Is(err, errHeavy) != test.heavy {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestGrowth: what is allowed keeps to the bound, with what the library really makes.
func TestGrowth(t *testing.T) {
	const items = 10_000
	s := avro.MustParse(rec("E", list(rec("F", "boolean"))))
	value := append([]byte{0xa0, 0x9c, 0x01}, make([]byte, items+1)...) // the count, zigzag
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var fields map[string]any
	if _, err := s.Decode(value, &fields); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if n := len(fields["f0"].([]any)); n != items {
		t.Errorf("%d items", n)
	}
	if made := (after.TotalAlloc - before.TotalAlloc) / items; made > maxGrowth {
		t.Errorf("a byte becomes %d", made)
	} else {
		t.Logf("a byte becomes %d", made)
	}
}
