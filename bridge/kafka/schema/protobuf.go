package schema

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"vitrine/bridge/event"
)

// Protobuf reads messages by a descriptor set, as protoc writes it with
// --descriptor_set_out --include_imports. A schema registry's header is passed
// over. It is safe for any goroutine.
type Protobuf struct {
	kind     protoreflect.MessageDescriptor
	registry bool
}

// NewProtobuf reads the file.
func NewProtobuf(opt Options) (*Protobuf, error) {
	if opt.File == "" || opt.Message == "" {
		return nil, errors.New("protobuf needs a descriptor set and the name of a message")
	}
	data, err := os.ReadFile(opt.File)
	if err != nil {
		return nil, fmt.Errorf("read the descriptor set: %w", err)
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("read the descriptor set %s: %w (protoc --include_imports --descriptor_set_out=FILE writes one)", opt.File, err)
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		return nil, fmt.Errorf("read the descriptor set %s: %w (protoc --include_imports --descriptor_set_out=FILE writes one)", opt.File, err)
	}
	d, err := files.FindDescriptorByName(protoreflect.FullName(opt.Message))
	if err != nil {
		return nil, fmt.Errorf("find message %s in %s: %w", opt.Message, opt.File, err)
	}
	kind, ok := d.(protoreflect.MessageDescriptor)
	if !ok {
		return nil, fmt.Errorf("%s in %s is no message", opt.Message, opt.File)
	}
	return &Protobuf{kind: kind, registry: opt.Registry.URL != ""}, nil
}

// JSON is what a value says.
func (m *Protobuf) JSON(value []byte) ([]byte, *event.Invalid) {
	if m.registry {
		var ok bool
		if value, ok = skipHeader(value); !ok {
			return nil, &event.Invalid{Code: CodeInvalid, Detail: "the value has no schema registry's header; without kafka.schema_registry none is expected"}
		}
	}
	msg := dynamicpb.NewMessage(m.kind)
	if err := proto.Unmarshal(value, msg); err != nil {
		return nil, &event.Invalid{Code: CodeInvalid, Detail: fmt.Sprintf("the value is no %s: %v", m.kind.FullName(), err)}
	}
	return text(fieldsOf(msg, 0), len(value))
}

// skipHeader takes a registry's header off: mark, number, and the path to the
// message as a count and indexes, zigzag varints; a count of 0 is the first
// message.
func skipHeader(value []byte) (rest []byte, ok bool) {
	if len(value) <= registryHeader || value[0] != registryMark {
		return nil, false
	}
	value = value[registryHeader:]
	count, n := binary.Varint(value)
	if n <= 0 || count < 0 || count > 64 {
		return nil, false
	}
	for value = value[n:]; count > 0; count-- {
		if _, n = binary.Varint(value); n <= 0 {
			return nil, false
		}
		value = value[n:]
	}
	return value, true
}

// maxDepth bounds the messages within messages.
const maxDepth = 16

// fieldsOf are the fields that are set, by their names in the schema, and enums that
// are never said to be: their first value has no bytes, and may well be `view`. The
// other fields' zeros say no more than that nothing was given.
func fieldsOf(msg protoreflect.Message, depth int) map[string]any {
	out := map[string]any{}
	if depth == maxDepth {
		return out
	}
	all := msg.Descriptor().Fields()
	for i := range all.Len() {
		if f := all.Get(i); f.Enum() != nil && !f.HasPresence() && !f.IsList() && !f.IsMap() {
			out[string(f.Name())] = scalar(f, msg.Get(f), depth)
		}
	}
	msg.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
			inner := map[string]any{}
			v.Map().Range(func(key protoreflect.MapKey, v protoreflect.Value) bool {
				inner[key.String()] = scalar(f.MapValue(), v, depth)
				return true
			})
			out[string(f.Name())] = inner
		case f.IsList():
			list := make([]any, v.List().Len())
			for i := range list {
				list[i] = scalar(f, v.List().Get(i), depth)
			}
			out[string(f.Name())] = list
		default:
			out[string(f.Name())] = scalar(f, v, depth)
		}
		return true
	})
	return out
}

// scalar is a field's value, or one of several. A google.protobuf.Timestamp is an
// RFC 3339 text, a google.protobuf.Int64Value and its like are what they wrap.
func scalar(f protoreflect.FieldDescriptor, v protoreflect.Value, depth int) any {
	switch f.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		inner := v.Message()
		if d := inner.Descriptor(); d.FullName() == "google.protobuf.Timestamp" {
			seconds, nanos := inner.Get(d.Fields().ByName("seconds")).Int(), inner.Get(d.Fields().ByName("nanos")).Int()
			return time.Unix(seconds, nanos).UTC().Format(time.RFC3339Nano)
		} else if f := wrapped(d); f != nil {
			return scalar(f, inner.Get(f), depth)
		}
		return fieldsOf(inner, depth+1)
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
