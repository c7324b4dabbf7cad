// Package schema makes JSON of the values of records that are Avro or Protobuf, by
// the schema of a file or of a schema registry.
//
// It is the only importer of twmb/avro and of protobuf, and knows nothing of topics.
package schema

import (
	"time"
)

// Options say where schemas are from.
type Options struct {
	// File has an Avro schema or a Protobuf descriptor set, Message is the full name
	// of the Protobuf message.
	File, Message string
	// Registry is the schema registry whose header the values have.
	Registry Registry
	// AskAll asks the registry for all numbers, however many it does not have.
	AskAll bool
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// CodeUnknown is the code of a value whose schema cannot be had, CodeInvalid that of
// one that is not of its schema.
const (
	CodeUnknown = "unknown_schema"
	CodeInvalid = "invalid_schema_value"
)

// The header of values that were written with a schema registry: a zero byte
// and the schema's number.
const (
	registryMark   = 0
	registryHeader = 5
)

// Headless is a value without a registry's header. JSON that was written without one
// does not begin with its mark, and is left as it is; so is a header that nothing is
// behind, as that would be a value that takes an item or a user away.
func Headless(value []byte) []byte {
	if len(value) <= registryHeader || value[0] != registryMark {
		return value
	}
	return value[registryHeader:]
}
