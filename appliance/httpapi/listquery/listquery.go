// Package listquery reads the query of a list by GET into memory that is used
// again, where the code generated from the document makes an object for each
// parameter that there could be.
//
// It takes only queries of which there is no doubt; all others, and whatever is
// to be refused, are the generated code's.
package listquery

import (
	"net/url"
	"strconv"
	"strings"

	"vitrine/appliance/httpapi/publicapi"
)

// Reader is the memory of one request at a time. Its zero value is ready.
type Reader struct {
	// Body is what was asked for, but for the names of attributes, which are in
	// Fields. Both are valid until the next Query.
	Body   publicapi.RecommendRequest
	Fields []string

	limit int
	flags [2]bool
}

// Query takes a query apart; false when there is anything in it that the generated
// code could mean otherwise, or refuse.
func (r *Reader) Query(query string) bool {
	r.Body = publicapi.RecommendRequest{Session: r.Body.Session[:0], Exclude: r.Body.Exclude[:0]}
	r.Fields = r.Fields[:0]
	for more := query != ""; more; {
		var pair string
		pair, query, more = strings.Cut(query, "&")
		name, value, _ := strings.Cut(pair, "=")
		if strings.ContainsAny(value, "%+;") {
			var err error
			if value, err = url.QueryUnescape(value); err != nil {
				return false
			}
		}
		if value == "" || !r.take(name, value) {
			return false
		}
	}
	return true
}

// take takes one parameter that is not empty.
func (r *Reader) take(name, value string) bool {
	b := &r.Body
	switch name {
	case "user_id":
		return once(&b.UserID, value)
	case "limit":
		n, err := strconv.Atoi(value)
		if err != nil || b.Limit != nil {
			return false
		}
		r.limit = n
		b.Limit = &r.limit
	case "session":
		b.Session = append(b.Session, value)
	case "exclude":
		b.Exclude = append(b.Exclude, value)
	case "fields":
		r.Fields = append(r.Fields, value)
	case "filter":
		return once(&b.Filter, value)
	case "scene":
		return once(&b.Scene, value)
	case "after":
		return once(&b.After, value)
	case "explain":
		return once(&b.Explain, value)
	case "exclude_seen":
		return r.flag(&b.ExcludeSeen, &r.flags[0], value)
	case "personalized":
		return r.flag(&b.Personalized, &r.flags[1], value)
	default:
		return false
	}
	return true
}

// once sets a text that may be given once.
func once(field *string, value string) bool {
	if *field != "" {
		return false
	}
	*field = value
	return true
}

// flag sets a truth value that may be given once, in the given memory.
func (r *Reader) flag(field **bool, memory *bool, value string) bool {
	if *field != nil || value != "true" && value != "false" {
		return false
	}
	*memory = value == "true"
	*field = memory
	return true
}
