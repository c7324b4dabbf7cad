package schema

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

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
	said := telling{left: event.MaxJSON}
	fields := said.fields(msg, 0)
	if said.left < 0 {
		return nil, &event.Invalid{Code: event.CodeTooLarge, Detail: fmt.Sprintf("the value has %d bytes, and in JSON more than the limit of %d", len(value), event.MaxJSON)}
	}
	return text(fields, len(value))
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
