package listquery

import (
	"encoding/json"
	"slices"
	"strings"

	"vitrine/appliance/httpapi/publicapi"
	"vitrine/appliance/httpapi/wire"
)

// Items tells which ids are those of items.
type Items interface {
	// Seen says whether there is anything of an item.
	Seen(id string) bool
}

// Spread takes apart what holds several ids in one parameter of a query, session
// or exclude: with commas between them, or as a JSON array. An id may have both in
// it, so what is an item's stays whole.
func Spread(body *publicapi.RecommendRequest, items Items) {
	body.Session = spread(body.Session, items)
	body.Exclude = spread(body.Exclude, items)
}

// spread returns ids as they are, which is nearly always, or others.
func spread(ids []string, items Items) []string {
	first := slices.IndexFunc(ids, func(id string) bool { return several(id, items) })
	if first < 0 {
		return ids
	}
	out := slices.Clone(ids[:first])
	for _, id := range ids[first:] {
		if several(id, items) {
			out = appendParts(out, id)
		} else {
			out = append(out, id)
		}
	}
	return out
}

// several tells whether a value is no id, but may hold some.
func several(value string, items Items) bool {
	return (strings.Contains(value, ",") || array(value)) && !items.Seen(value)
}

// array tells whether a value may be an array in JSON.
func array(value string) bool { return strings.HasPrefix(value, "[") && strings.HasSuffix(value, "]") }

// appendParts adds the ids in a value; of a value without any, the value.
func appendParts(dst []string, value string) []string {
	var listed []wire.LooseID
	if array(value) && json.Unmarshal([]byte(value), &listed) == nil {
		for _, id := range listed {
			dst = append(dst, string(id))
		}
		return dst
	}
	before := len(dst)
	for id := range strings.SplitSeq(value, ",") {
		if id != "" {
			dst = append(dst, id)
		}
	}
	if len(dst) == before {
		dst = append(dst, value)
	}
	return dst
}
