package schema

import (
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// telling makes of a message what JSON has for it, as far as an interaction may be long.
// Parts of a list take two bytes of a value, and may have fields that take none, so one
// record of 1 MiB could become gigabytes.
type telling struct {
	// left is how many bytes its JSON may have yet, at the least that each part takes;
	// a message that is too long is not told to its end, and leaves less than 0.
	left int
}

// The least that parts take: a field beside its name, and one of a list.
const (
	fieldBytes = len(`"":0`)
	itemBytes  = len(`0,`)
)

// maxDepth bounds the messages within messages.
const maxDepth = 16

// room takes bytes, and is false when there are not as many.
func (t *telling) room(bytes int) bool {
	if t.left >= 0 {
		t.left -= bytes
	}
	return t.left >= 0
}

// implied tells an enum that is never said to be: its first value has no bytes, and may
// well be `view`.
func implied(f protoreflect.FieldDescriptor) bool {
	return f.Enum() != nil && !f.HasPresence() && !f.IsList() && !f.IsMap()
}

// fields are those that are set, by their names in the schema, and the enums that are
// implied. The other fields' zeros say no more than that nothing was given.
func (t *telling) fields(msg protoreflect.Message, depth int) map[string]any {
	out := map[string]any{}
	if depth == maxDepth {
		return out
	}
	all := msg.Descriptor().Fields()
	for i := range all.Len() {
		if f := all.Get(i); implied(f) && t.room(len(f.Name())+fieldBytes) {
			out[string(f.Name())] = t.scalar(f, msg.Get(f), depth)
		}
	}
	msg.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case implied(f):
		case !t.room(len(f.Name()) + fieldBytes):
			return false
		case f.IsMap():
			out[string(f.Name())] = t.entries(f.MapValue(), v.Map(), depth)
		case f.IsList():
			out[string(f.Name())] = t.items(f, v.List(), depth)
		default:
			out[string(f.Name())] = t.scalar(f, v, depth)
		}
		return true
	})
	return out
}

// entries are those of a map.
func (t *telling) entries(f protoreflect.FieldDescriptor, of protoreflect.Map, depth int) map[string]any {
	out := map[string]any{}
	of.Range(func(key protoreflect.MapKey, v protoreflect.Value) bool {
		if !t.room(fieldBytes) {
			return false
		}
		out[key.String()] = t.scalar(f, v, depth)
		return true
	})
	return out
}

// items are those of a list.
func (t *telling) items(f protoreflect.FieldDescriptor, of protoreflect.List, depth int) []any {
	var out []any
	for i := 0; i < of.Len() && t.room(itemBytes); i++ {
		out = append(out, t.scalar(f, of.Get(i), depth))
	}
	return out
}

// scalar is a field's value, or one of several. A google.protobuf.Timestamp is an
// RFC 3339 text, a google.protobuf.Int64Value and its like are what they wrap.
func (t *telling) scalar(f protoreflect.FieldDescriptor, v protoreflect.Value, depth int) any {
	switch f.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		inner := v.Message()
		if d := inner.Descriptor(); d.FullName() == "google.protobuf.Timestamp" {
			seconds, nanos := inner.Get(d.Fields().ByName("seconds")).Int(), inner.Get(d.Fields().ByName("nanos")).Int()
			return time.Unix(seconds, nanos).UTC().Format(time.RFC3339Nano)
		} else if f := wrapped(d); f != nil {
			return t.scalar(f, inner.Get(f), depth)
		}
		return t.fields(inner, depth+1)
	case protoreflect.EnumKind:
		if value := f.Enum().Values().ByNumber(v.Enum()); value != nil {
			return string(value.Name())
		}
		return int32(v.Enum())
	}
	return v.Interface()
}

// wrapped is the field of a message that wraps one, nil of another.
func wrapped(d protoreflect.MessageDescriptor) protoreflect.FieldDescriptor {
	if d.FullName().Parent() != "google.protobuf" || d.Fields().Len() != 1 {
		return nil
	}
	return d.Fields().ByName("value")
}
