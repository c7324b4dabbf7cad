package event

import (
	"fmt"
	"slices"
	"strings"

	"vitrine/bridge/event/words"
)

// Limits of the attributes of one item or user.
const (
	// MaxAttributes is the most attributes of one item or user.
	MaxAttributes = 64
	// MaxAttributeName is the most bytes of an attribute's name.
	MaxAttributeName = 64
	// MaxAttributeText is the most bytes of a string value or set member.
	MaxAttributeText = 4096
	// MaxSet is the most members of a set.
	MaxSet = 256
)

// ParseAttributes reads a JSON object of attributes: strings, numbers, bools
// and arrays of strings (sets). A null drops its name; of a name given twice
// the last value counts. The result is sorted by name.
func ParseAttributes(data []byte) ([]Attribute, *Invalid) { return parseAttributes(data, false) }

// ParsePatch is ParseAttributes for a patch: a null becomes a Removed.
func ParsePatch(data []byte) ([]Attribute, *Invalid) { return parseAttributes(data, true) }

func parseAttributes(data []byte, patch bool) ([]Attribute, *Invalid) {
	if inv := checkText(data); inv != nil {
		return nil, inv
	}
	s := scanner{data: data}
	if !s.open() {
		return nil, s.bad
	}
	var list []Attribute
	for first := true; ; first = false {
		name, ok := s.key(first)
		if !ok {
			break
		}
		// An escaped name is a fresh slice, a plain one is part of data.
		a := Attribute{Name: string(name)}
		at := slices.IndexFunc(list, func(b Attribute) bool { return b.Name == a.Name })
		switch null := s.null(); {
		case null && patch:
			a.Value.Kind = Removed
		case null:
			if at >= 0 {
				list = slices.Delete(list, at, at+1)
			}
			continue
		default:
			s.attribute(&a)
		}
		if s.bad != nil {
			return nil, s.bad
		}
		switch {
		case at >= 0:
			list[at] = a
		case len(list) == MaxAttributes:
			return nil, tooManyAttributes(MaxAttributes + 1)
		default:
			list = append(list, a)
		}
	}
	s.end()
	if s.bad != nil {
		return nil, s.bad
	}
	SortAttributes(list)
	if inv := checkAttributes(list, patch); inv != nil {
		return nil, inv
	}
	return list, nil
}

// attribute reads the value of a, whose name is known.
func (s *scanner) attribute(a *Attribute) {
	v := &a.Value
	switch c := s.peek(); c {
	case '"':
		v.Kind, v.Str = String, string(s.text())
	case 't':
		s.literal("true")
		v.Kind, v.Bool = Bool, true
	case 'f':
		s.literal("false")
		v.Kind = Bool
	case '[':
		s.pos++
		v.Kind, v.Set = Set, []string{}
		for first := true; s.more(first); first = false {
			if s.peek() != '"' {
				s.wrong(CodeInvalidAttribute, fmt.Sprintf("attribute %s: a set holds strings only", quoteShort([]byte(a.Name))))
				return
			}
			if len(v.Set) == MaxSet {
				s.bad = &Invalid{CodeInvalidAttribute, fmt.Sprintf("attribute %s: a set has at most %d members", quoteShort([]byte(a.Name)), MaxSet)}
				return
			}
			v.Set = append(v.Set, string(s.text()))
		}
		slices.Sort(v.Set)
		v.Set = slices.Compact(v.Set)
	case '{':
		s.wrong(CodeInvalidAttribute, fmt.Sprintf("attribute %s is an object; use a string, a number, a bool or an array of strings", quoteShort([]byte(a.Name))))
	default:
		v.Kind = Number
		v.Num, _ = s.float("attribute " + quoteShort([]byte(a.Name)))
	}
}

// SortAttributes sorts by name, in place. Names must be unique already.
func SortAttributes(list []Attribute) {
	slices.SortFunc(list, func(a, b Attribute) int { return strings.Compare(a.Name, b.Name) })
}

// MergeAttributes lays patch over old: a name in both takes the patch's value,
// and one that the patch says is removed is left out. Both must be sorted; the
// result is sorted and new, the inputs stay as they are.
func MergeAttributes(old, patch []Attribute) []Attribute {
	out := make([]Attribute, 0, len(old)+len(patch))
	for len(patch) > 0 {
		c := 1
		if len(old) > 0 {
			c = strings.Compare(old[0].Name, patch[0].Name)
		}
		if c < 0 {
			out, old = append(out, old[0]), old[1:]
			continue
		}
		if patch[0].Value.Kind != Removed {
			out = append(out, patch[0])
		}
		if patch = patch[1:]; c == 0 {
			old = old[1:]
		}
	}
	return append(out, old...)
}

// checkAttributes checks names, values and order; only a patch may remove.
func checkAttributes(list []Attribute, patch bool) *Invalid {
	if len(list) > MaxAttributes {
		return tooManyAttributes(len(list))
	}
	for i := range list {
		a := &list[i]
		if !attributeName(a.Name) {
			return &Invalid{CodeInvalidAttribute, fmt.Sprintf("attribute name %s: a name is a letter or _ and then letters, digits, _ . or -, at most %d bytes",
				quoteShort([]byte(a.Name)), MaxAttributeName)}
		}
		if i > 0 && list[i-1].Name >= a.Name {
			return &Invalid{CodeInvalidAttribute, "attribute " + a.Name + " is out of order or given twice"}
		}
		if a.Value.Kind == Removed && patch {
			continue
		}
		if inv := checkValue(a.Name, &a.Value); inv != nil {
			return inv
		}
	}
	return nil
}

// tooManyAttributes is the fault of an item or user with n attributes.
func tooManyAttributes(n int) *Invalid {
	return &Invalid{CodeInvalidAttribute, fmt.Sprintf("there may be at most %d attributes, here are %d", MaxAttributes, n)}
}

// checkValue checks one value; its kind must be known.
func checkValue(name string, v *Value) *Invalid {
	switch v.Kind {
	case Bool:
		return nil
	case Number:
		if !amount(v.Num, true) {
			return &Invalid{CodeInvalidAttribute, "attribute " + name + " is not a finite number"}
		}
		return nil
	case String:
		return checkAttributeText(name, v.Str)
	case Set:
		if len(v.Set) > MaxSet {
			return &Invalid{CodeInvalidAttribute, fmt.Sprintf("attribute %s: a set has at most %d members", name, MaxSet)}
		}
		for i, member := range v.Set {
			if inv := checkAttributeText(name, member); inv != nil {
				return inv
			}
			if i > 0 && v.Set[i-1] >= member {
				return &Invalid{CodeInvalidAttribute, "attribute " + name + ": the set is not sorted"}
			}
		}
		return nil
	}
	return &Invalid{CodeInvalidAttribute, "attribute " + name + " has no known kind"}
}

// checkAttributeText checks a string of an attribute. Line breaks are allowed:
// a description may have them.
func checkAttributeText(name, text string) *Invalid {
	if len(text) > MaxAttributeText {
		return &Invalid{CodeInvalidAttribute, fmt.Sprintf("attribute %s: a string has at most %d bytes", name, MaxAttributeText)}
	}
	if words.Check(text) == words.BadUTF8 {
		return &Invalid{CodeInvalidUTF8, "attribute " + name + " is not valid UTF-8"}
	}
	return nil
}

// attributeName tells whether expressions can use the name bare.
func attributeName(name string) bool {
	if name == "" || len(name) > MaxAttributeName {
		return false
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case c|0x20 >= 'a' && c|0x20 <= 'z', c == '_':
		case i > 0 && (c >= '0' && c <= '9' || c == '.' || c == '-'):
		default:
			return false
		}
	}
	return true
}
