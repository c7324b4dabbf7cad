package schema

import (
	"errors"
	"strings"

	"github.com/twmb/avro"
)

// The bounds of what a value of a schema becomes in memory. Parts that take no bytes
// (null, records without fields) or next to none (decimals of many places) would else
// make one record of 1 MiB tens of GiB, with each start anew, and who writes to a topic
// often may register schemas.
const (
	// maxGrowth is how many bytes each byte of a value may become. An array of records
	// of one boolean has 352.
	maxGrowth = 512
	// maxBare is what a value may take beside that, such as fields that are null.
	maxBare = 1 << 20
)

var errHeavy = errors.New("few bytes of it can become a great many: a list or a map of parts that take next to none, or too many of these")

// weight is what a part of a schema takes at its worst: the bytes that it needs, and
// those that it then becomes.
type weight struct{ bytes, held float64 }

func (w weight) growth() float64 { return w.held / max(w.bytes, 0.001) }

func (w weight) plus(v weight) weight { return weight{w.bytes + v.bytes, w.held + v.held} }

// scales weigh the parts of a schema.
type scales struct {
	// named are the types that have names, known those that were weighed.
	named map[string]*avro.SchemaNode
	known map[string]weight
	heavy bool
}

// bearable says whether values of a schema stay within the bounds.
func bearable(s *avro.Schema) error {
	root := s.Root()
	w := &scales{named: map[string]*avro.SchemaNode{}, known: map[string]weight{}}
	w.name(root)
	if w.weigh(root, ""); w.heavy {
		return errHeavy
	}
	return nil
}

// name finds the types that have names, where the schema uses them: other attributes may
// look like types, too.
func (w *scales) name(n *avro.SchemaNode) {
	switch n.Type {
	case "array":
		w.name(n.Items)
	case "map":
		w.name(n.Values)
	case "union":
		for i := range n.Branches {
			w.name(&n.Branches[i])
		}
	case "record", "error":
		w.named[fullName(n.Namespace, n.Name)] = n
		for i := range n.Fields {
			w.name(&n.Fields[i].Type)
		}
	case "fixed":
		w.named[fullName(n.Namespace, n.Name)] = n
	}
}

// fullName is a name in its namespace, unless it has one itself.
func fullName(namespace, name string) string {
	if namespace == "" || strings.Contains(name, ".") {
		return name
	}
	return namespace + "." + name
}

// weigh weighs a part, in the namespace of what it is in.
func (w *scales) weigh(n *avro.SchemaNode, namespace string) weight {
	const cell, fields = 40, 312 // a value in a map or a list, and a map by itself
	switch n.Type {
	case "null":
		return weight{0, cell}
	case "boolean", "int", "long", "string":
		return weight{1, cell}
	case "float", "fixed", "double", "bytes":
		return w.opaque(n, cell)
	case "enum":
		return weight{1, cell}
	case "array", "map":
		w.repeat(n, namespace)
		return weight{1, cell + fields}
	case "union":
		var worst weight
		for i := range n.Branches {
			if v := w.weigh(&n.Branches[i], namespace).plus(weight{1, 0}); worst.bytes == 0 || v.growth() > worst.growth() {
				worst = v
			}
		}
		return worst
	case "record", "error":
		return w.record(n, cell+fields)
	}
	for _, name := range []string{fullName(namespace, n.Type), n.Type} {
		if of := w.named[name]; of != nil {
			return w.weigh(of, "")
		}
	}
	return weight{1, cell}
}

// opaque weighs a part that is some bytes.
func (w *scales) opaque(n *avro.SchemaNode, cell float64) weight {
	v := weight{1, cell}
	switch n.Type {
	case "fixed":
		v = weight{float64(n.Size), cell + float64(n.Size)}
	case "float", "double":
		v.bytes = 4
	}
	switch n.LogicalType {
	case "decimal":
		v.held += 3 * float64(n.Scale) // two numbers, and their text
	case "big-decimal":
		v.held += 3 << 16 // whose places the value says
	}
	return v
}

// repeat looks at what is in a list or a map.
func (w *scales) repeat(n *avro.SchemaNode, namespace string) {
	item, key := n.Items, weight{}
	if n.Type == "map" {
		item, key = n.Values, weight{1, 40}
	}
	v := w.weigh(item, namespace).plus(key)
	w.heavy = w.heavy || v.growth() > maxGrowth
}

// record weighs one, whose weight alone is given, once.
func (w *scales) record(n *avro.SchemaNode, alone float64) weight {
	name := fullName(n.Namespace, n.Name)
	namespace := name[:max(0, strings.LastIndexByte(name, '.'))]
	if v, known := w.known[name]; known {
		return v
	}
	sum := weight{0, alone}
	w.known[name] = weight{1, alone} // within itself, which some byte tells
	for i := range n.Fields {
		sum = sum.plus(w.weigh(&n.Fields[i].Type, namespace))
	}
	w.known[name] = sum
	w.heavy = w.heavy || sum.held > sum.bytes*maxGrowth+maxBare
	return sum
}
