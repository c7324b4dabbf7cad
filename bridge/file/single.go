package file

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"vitrine/bridge/event"
)

// csvFields are the fields of a line of CSV that no mapping names, in order.
const csvFields = "user_id=1,item_id=2,event_type=3,ts=4,value=5"

// Values reads single interactions, as messages carry them: JSON objects, or
// lines of CSV without a header, whose columns go by their position from 1. It
// is for one goroutine.
type Values struct {
	csv     bool
	builder *builder
	json    *jsonRows
	lines   *csvRows
}

// NewValues makes a reader; mapping is what ParseMap reads. Of CSV, an empty
// one takes user_id, item_id, event_type, ts and value to be the columns.
func NewValues(csv bool, mapping string) (*Values, error) {
	if csv && mapping == "" {
		mapping = csvFields
	}
	list, err := ParseMap(mapping)
	if err != nil {
		return nil, err
	}
	v := &Values{csv: csv}
	cols := newColumns("field")
	if csv {
		cols = newColumns("column")
		last := 0
		for i := range list {
			if list[i].Constant {
				continue
			}
			n, err := strconv.Atoi(list[i].Column)
			if err != nil || n < 1 || n > maxColumns {
				return nil, mapErrorf("%s=%s: columns of CSV in messages go by their position from 1", list[i].Field, clip(list[i].Column, 64))
			}
			last = max(last, n)
		}
		for n := range last {
			cols.add(strconv.Itoa(n + 1))
		}
	} else {
		for i := range list {
			if _, known := cols.index[list[i].Column]; !list[i].Constant && !known {
				cols.add(list[i].Column)
			}
		}
	}
	for i := range list {
		if strings.HasPrefix(list[i].Field, attrPrefix) {
			return nil, mapErrorf("%s: attributes of items come by their own topic", list[i].Field)
		}
	}
	v.json, v.lines = &jsonRows{cols: cols}, &csvRows{cols: cols, delimiter: ','}
	var rows rowReader = v.json
	if csv {
		rows = v.lines
	}
	spec := &Spec{Map: list, NoIDs: true}
	p, err := newPlan(rows, spec)
	if err != nil {
		return nil, err
	}
	v.builder, err = newBuilder(p, spec, &conveyor{})
	return v, err
}

// Event reads one interaction into dst. It checks the form of the fields;
// Validate and Normalize are the caller's.
func (v *Values) Event(raw []byte, dst *event.Event) *event.Invalid {
	if len(raw) > event.MaxJSON {
		return &event.Invalid{Code: event.CodeTooLarge, Detail: fmt.Sprintf("the message has %d bytes, the limit is %d", len(raw), event.MaxJSON)}
	}
	*dst = event.Event{}
	r, inv := v.row(raw)
	if inv != nil {
		return inv
	}
	b := v.builder
	for i := range b.plan.fields {
		f := &b.plan.fields[i]
		if c := cellOf(r, &f.source); len(c.text) > 0 {
			if inv := b.field(dst, f.field, c); inv != nil {
				return inv
			}
		}
	}
	return nil
}

// row cuts a message into cells.
func (v *Values) row(raw []byte) (*row, *event.Invalid) {
	raw = bytes.TrimSpace(raw)
	if !v.csv {
		switch {
		case !json.Valid(raw):
			return nil, &event.Invalid{Code: event.CodeInvalidJSON, Detail: jsonFault(raw)}
		case raw[0] != '{':
			return nil, &event.Invalid{Code: event.CodeInvalidJSON, Detail: "the message is JSON but not an object"}
		}
		v.json.row.fault = nil
		v.json.members(raw)
		return &v.json.row, v.json.row.fault
	}
	if len(raw) == 0 {
		return nil, &event.Invalid{Code: CodeInvalidRow, Detail: "the line is empty"}
	}
	if used, _, state := v.lines.scan(raw, true); state != scanDone || used != len(raw) {
		return nil, &event.Invalid{Code: CodeInvalidRow, Detail: "the message is not one line of CSV: a quote is out of place, or lines follow"}
	}
	return &v.lines.row, nil
}
