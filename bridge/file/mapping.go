package file

import (
	"slices"
	"strings"

	"vitrine/bridge/event"
	"vitrine/bridge/file/stream"
	"vitrine/internal/nearest"
)

// Mapping says where one field of a record comes from.
type Mapping struct {
	// Field is a field of an event, item or user, or "attr.NAME".
	Field string
	// Column is the column it is read from, when Constant is false.
	Column string
	// Constant says that every row has Text instead.
	Constant bool
	// Text is the value of a constant.
	Text string
}

const attrPrefix = "attr."

// field numbers the fields that a row can give. The order is free: nothing
// stores it.
type field int

const (
	fieldUser field = iota
	fieldItem
	fieldType
	fieldTime
	fieldValue
	fieldEventID
	fieldSession
	fieldRequest
	fieldPosition
	fieldScene
	fieldPrice
	fieldCurrency
	fieldProps
	fieldExpires
	numFields
)

// fieldNames are the names in --map and in files, those of the HTTP API.
var fieldNames = [numFields]string{
	"user_id", "item_id", "event_type", "ts", "value", "event_id", "session_id", "request_id",
	"position", "scene", "price", "currency", "props", "expires_at",
}

// fieldNumber is the field of a name, -1 for none.
func fieldNumber(name string) field { return field(slices.Index(fieldNames[:], name)) }

// allows tells whether rows of this kind have the field.
func (k Kind) allows(f field) bool {
	switch k {
	case Items:
		return f == fieldItem || f == fieldExpires
	case Users:
		return f == fieldUser
	}
	return f != fieldExpires
}

// kinds are, by Kind, what a row is called in faults and the fields without
// which it does not count.
var kinds = [...]struct {
	noun     string
	required []field
}{
	Events: {"an event", []field{fieldUser, fieldItem, fieldType}},
	Items:  {"an item", []field{fieldItem}},
	Users:  {"a user", []field{fieldUser}},
}

// fieldsOf names the fields of a kind, for faults.
func fieldsOf(kinds ...Kind) []string {
	var names []string
	for f, name := range fieldNames {
		if slices.ContainsFunc(kinds, func(k Kind) bool { return k.allows(field(f)) }) {
			names = append(names, name)
		}
	}
	return append(names, attrPrefix+"NAME")
}

// ParseMap reads "field=Column,field==constant,attr.NAME=Column". A column or
// constant that holds a comma stands in double quotes, a quote in it doubled.
func ParseMap(s string) ([]Mapping, error) {
	var out []Mapping
	for rest := s; strings.TrimSpace(rest) != ""; {
		name, tail, found := strings.Cut(rest, "=")
		m := Mapping{Field: strings.TrimSpace(name)}
		if !found {
			return nil, mapErrorf("%q is not of the form field=Column or field==constant", clip(m.Field, 64)).
				WithHint("such as: user_id=Customer,item_id=Sku,event_type==purchase,attr.name=Title")
		}
		if after, constant := strings.CutPrefix(tail, "="); constant {
			m.Constant, tail = true, after
		}
		value, tail, ok := mapValue(tail)
		if !ok {
			return nil, mapErrorf("the quote in the value of %s is never closed", clip(m.Field, 64))
		}
		rest = tail
		if value == "" {
			return nil, mapErrorf("%s has no column; write %s=Column or %s==constant", clip(m.Field, 64), m.Field, m.Field)
		}
		if m.Constant {
			m.Text = value
		} else {
			m.Column = value
		}
		if err := m.check(out); err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

func mapErrorf(format string, args ...any) *InputError {
	return inputErrorf("", stream.CodeInvalidMap, "map: "+format, args...)
}

// mapValue cuts one value and its comma off s.
func mapValue(s string) (value, rest string, ok bool) {
	trimmed := strings.TrimLeft(s, " ")
	if !strings.HasPrefix(trimmed, `"`) {
		value, rest, _ = strings.Cut(s, ",")
		return strings.TrimSpace(value), rest, true
	}
	var b strings.Builder
	for i := 1; i < len(trimmed); i++ {
		if trimmed[i] != '"' {
			b.WriteByte(trimmed[i])
			continue
		}
		if i+1 < len(trimmed) && trimmed[i+1] == '"' {
			b.WriteByte('"')
			i++
			continue
		}
		rest = strings.TrimLeft(trimmed[i+1:], " ")
		if rest != "" && rest[0] != ',' {
			return "", "", false
		}
		return b.String(), strings.TrimPrefix(rest, ","), true
	}
	return "", "", false
}

// check refuses unknown and repeated fields.
func (m *Mapping) check(before []Mapping) error {
	if slices.ContainsFunc(before, func(b Mapping) bool { return b.Field == m.Field }) {
		return mapErrorf("%s is mapped twice", clip(m.Field, 64))
	}
	if name, attr := strings.CutPrefix(m.Field, attrPrefix); attr {
		if !validAttributeName(name) {
			return mapErrorf("%q is no attribute name; it begins with a letter and goes on with letters, digits, _ . or -, at most %d", clip(name, 64), event.MaxAttributeName)
		}
		return nil
	}
	if !slices.Contains(fieldNames[:], m.Field) {
		err := mapErrorf("unknown field %q; the fields are %s", clip(m.Field, 64), listNames(fieldsOf(Events, Items)))
		if n := nearest.Name(m.Field, fieldNames[:]); n != "" {
			err = err.WithHint("nearest field: %s", n)
		}
		return err
	}
	return nil
}

// validAttributeName is event's rule, needed here before any row is read.
func validAttributeName(name string) bool {
	u := event.User{ID: "x", Attributes: []event.Attribute{{Name: name, Value: event.Value{Kind: event.Bool}}}}
	return u.Validate() == nil
}
