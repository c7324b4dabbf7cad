package e2e

import (
	"math/rand/v2"
	"sort"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// generator makes JSON values of schemas, from a seed.
type generator struct {
	*rand.Rand
	doc *openapi3.T
}

// sampleTexts are ids and texts as shops have them.
var sampleTexts = []string{"u1", "i1", "i2", "c1", "view", "purchase", "a b", "100%/x?", "\u65e5\u672c\u8a9e", "O'Neil \"x\"", "2026-11-22T10:00:00Z", "price-band", "0"}

// value is a value that fulfils a schema. depth keeps nesting short.
func (g generator) value(ref *openapi3.SchemaRef, depth int) any {
	if ref == nil || ref.Value == nil {
		return map[string]any{}
	}
	s := ref.Value
	switch {
	case s.Const != nil:
		return s.Const
	case len(s.Enum) > 0:
		return s.Enum[g.IntN(len(s.Enum))]
	case len(s.OneOf) > 0:
		return g.value(s.OneOf[g.IntN(len(s.OneOf))], depth)
	case len(s.AnyOf) > 0:
		return g.value(s.AnyOf[g.IntN(len(s.AnyOf))], depth)
	case len(s.AllOf) > 0:
		return g.value(s.AllOf[0], depth)
	}
	switch kinds := s.Type.Slice(); {
	case len(kinds) == 0:
		return g.object(s, depth)
	default:
		return g.kind(kinds[g.IntN(len(kinds))], s, depth)
	}
}

func (g generator) kind(kind string, s *openapi3.Schema, depth int) any {
	switch kind {
	case "string":
		return g.text(s)
	case "integer":
		low, high := bounds(s)
		return float64(int64(low) + g.Int64N(int64(min(high-low, 1e6))+1))
	case "number":
		low, high := bounds(s)
		return low + g.Float64()*min(high-low, 1e6)
	case "boolean":
		return g.IntN(2) == 0
	case "array":
		n := int(s.MinItems) + g.IntN(3)
		if s.MaxItems != nil {
			n = min(n, int(*s.MaxItems))
		}
		list := make([]any, n)
		for i := range list {
			list[i] = g.value(s.Items, depth+1)
		}
		return list
	case "object":
		return g.object(s, depth)
	}
	return nil
}

func (g generator) text(s *openapi3.Schema) string {
	switch {
	case s.Format == "date-time":
		return "2026-11-22T10:00:00Z"
	case s.Format == "byte":
		return "AGFzbQEAAAA="
	case s.Pattern != "":
		return "name-" + string('a'+rune(g.IntN(26)))
	}
	text := sampleTexts[g.IntN(len(sampleTexts))]
	for uint64(len(text)) < s.MinLength {
		text += "x"
	}
	return text
}

func bounds(s *openapi3.Schema) (low, high float64) {
	low, high = -1000, 1000
	if s.Min != nil {
		low, high = *s.Min, *s.Min+1000
	}
	if s.Max != nil {
		high = *s.Max
		low = max(low, high-1e6)
		if s.Min != nil {
			low = *s.Min
		}
	}
	return low, high
}

func (g generator) object(s *openapi3.Schema, depth int) map[string]any {
	out := map[string]any{}
	for _, name := range names(s) {
		required := false
		for _, r := range s.Required {
			required = required || r == name
		}
		if required || depth < 3 && g.IntN(2) == 0 {
			out[name] = g.value(s.Properties[name], depth+1)
		}
	}
	if more := s.AdditionalProperties.Schema; more != nil {
		for range g.IntN(3) {
			out[sampleTexts[g.IntN(4)]] = g.value(more, depth+1)
		}
	}
	if len(out) == 0 && s.MinProps > 0 && len(s.Properties) > 0 {
		name := names(s)[0]
		out[name] = g.value(s.Properties[name], depth+1)
	}
	return out
}

// names are a schema's properties in order, for the same seed must give the
// same requests.
func names(s *openapi3.Schema) []string {
	var out []string
	for name := range s.Properties {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}

// broken are values that are nearly one of the schema: something is missing,
// too much, of another type or out of bounds. Only those are given that the
// schema refuses.
func (g generator) broken(ref *openapi3.SchemaRef) []any {
	s := ref.Value
	candidates := []any{nil, "text", 3.0, true, []any{}, map[string]any{}, []any{nil}}
	if s.MaxItems != nil && s.Items != nil {
		candidates = append(candidates, many(g.value(s.Items, 1), int(*s.MaxItems)+1))
	}
	for _, name := range names(s) {
		base := func() map[string]any { return g.object(s, 0) }
		without := base()
		delete(without, name)
		candidates = append(candidates, without)
		p := s.Properties[name].Value
		for _, bad := range []any{map[string]any{"x": []any{}}, []any{map[string]any{}}, -1.0, 1e18, 1.5, true, "\u0001", strings.Repeat("x", 70000)} {
			with := base()
			with[name] = bad
			candidates = append(candidates, with)
		}
		if p.MaxItems != nil && p.Items != nil {
			with := base()
			with[name] = many(g.value(p.Items, 1), int(*p.MaxItems)+1)
			candidates = append(candidates, with)
		}
	}
	if len(s.Properties) > 0 {
		more := g.object(s, 0)
		more["no_such_field"] = 1.0
		candidates = append(candidates, more)
	}
	var out []any
	for _, c := range candidates {
		if g.doc.ValidateSchemaJSON(s, c) != nil {
			out = append(out, c)
		}
	}
	return out
}

func many(v any, n int) []any {
	list := make([]any, n)
	for i := range list {
		list[i] = v
	}
	return list
}

// outside are texts that a parameter refuses.
func outside(p *openapi3.Parameter) []string {
	s := p.Schema.Value
	if s.Type.Is("array") {
		s = s.Items.Value
	}
	out := []string{}
	switch {
	case s.Type.Is("integer"):
		out = append(out, "x", "1.5", "", "99999999999999999999")
		if s.Min != nil {
			out = append(out, text(*s.Min-1))
		}
		if s.Max != nil {
			out = append(out, text(*s.Max+1))
		}
	case s.Type.Is("boolean"):
		out = append(out, "2", "perhaps", "")
	case len(s.Enum) > 0:
		out = append(out, "nonsense")
	case s.MaxLength != nil:
		out = append(out, strings.Repeat("x", int(*s.MaxLength)+1))
	}
	return out
}

func text(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
