package table

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"vitrine/bridge/event"
	"vitrine/bridge/parquet/tables"
)

// newSink is what the lines of a kind go into.
func newSink(st *stage, opt Options) (sink, error) {
	switch {
	case opt.Codes:
		users, items := newDictionary(), newDictionary()
		rows, err := newRows(st, &opt, naming[int32]{users.code, items.code})
		return &coded{rows: rows, st: st, opt: &opt, users: users, items: items}, err
	case opt.NDJSON && opt.Kind != Model:
		return &plain{newFile(st, opt.Kind, &opt)}, nil
	}
	same := func(id string) (string, error) { return id, nil }
	return newRows(st, &opt, naming[string]{same, same})
}

// naming is how rows name users and items.
type naming[I tables.ID] struct {
	user, item func(id string) (I, error)
}

// rows takes lines of one type.
type rows[R tables.Row] struct {
	*parts[R]
	read func(line []byte) (R, error)
}

func (r rows[R]) add(line []byte) error {
	row, err := r.read(line)
	if err != nil {
		return fmt.Errorf("understand %.200q: %w", line, err)
	}
	return r.parts.add(row)
}

// newRows is a sink of the rows of a kind.
func newRows[I tables.ID](st *stage, opt *Options, name naming[I]) (sink, error) {
	switch opt.Kind {
	case Recommendations:
		return rows[tables.List[I]]{newParts[tables.List[I]](st, opt.Kind, opt), name.list}, nil
	case Events:
		return rows[tables.Event[I]]{newParts[tables.Event[I]](st, opt.Kind, opt), name.event}, nil
	case Items:
		return rows[tables.Item[I]]{newParts[tables.Item[I]](st, opt.Kind, opt), name.itemRow}, nil
	case Users:
		return rows[tables.User[I]]{newParts[tables.User[I]](st, opt.Kind, opt), name.userRow}, nil
	case Model:
		return &sides[I]{
			rows[tables.UserFactors[I]]{newParts[tables.UserFactors[I]](st, userFactors, opt), name.userFactors},
			rows[tables.ItemFactors[I]]{newParts[tables.ItemFactors[I]](st, itemFactors, opt), name.itemFactors},
		}, nil
	}
	return nil, fmt.Errorf("there is no table %q", opt.Kind)
}

// required is the error of a row without what every one has.
func required(member string) error { return fmt.Errorf("it has no %s", member) }

// userOf and itemOf are what an id becomes.
func (n naming[I]) userOf(id string) (I, error) {
	if id == "" {
		return *new(I), required("user_id")
	}
	return n.user(id)
}

func (n naming[I]) itemOf(id string) (I, error) {
	if id == "" {
		return *new(I), required("item_id")
	}
	return n.item(id)
}

// parse reads a line into a row with ids.
func parse[R tables.Row](line []byte) (row R, err error) {
	err = json.Unmarshal(line, &row)
	return row, err
}

func (n naming[I]) list(line []byte) (out tables.List[I], err error) {
	in, err := parse[tables.List[string]](line)
	if err != nil {
		return out, err
	}
	out = tables.List[I]{Recommendations: make([]tables.Place[I], len(in.Recommendations)), Source: in.Source, Reason: in.Reason, Model: in.Model}
	for i, place := range in.Recommendations {
		out.Recommendations[i].Score = place.Score
		if out.Recommendations[i].ItemID, err = n.itemOf(place.ItemID); err != nil {
			return out, err
		}
	}
	out.UserID, err = n.userOf(in.UserID)
	return out, err
}

func (n naming[I]) event(line []byte) (out tables.Event[I], err error) {
	var e event.Event
	if _, invalid := event.ParseEvent(line, &e); invalid != nil {
		return out, invalid
	}
	out = tables.Event[I]{
		EventType: e.Type, Time: tables.Millis(e.Time), EventID: e.EventID, SessionID: e.SessionID, RequestID: e.RequestID,
		Position: e.Position, Scene: e.Scene, Currency: e.Currency, Props: tables.JSON(e.Props),
	}
	if e.HasValue {
		out.Value = &e.Value
	}
	if e.HasPrice {
		out.Price = &e.Price
	}
	if out.UserID, err = n.userOf(e.UserID); err == nil {
		out.ItemID, err = n.itemOf(e.ItemID)
	}
	return out, err
}

func (n naming[I]) itemRow(line []byte) (out tables.Item[I], err error) {
	in, err := parse[tables.Item[string]](line)
	if err == nil && in.Attributes == "" {
		err = required("attributes")
	}
	if err != nil {
		return out, err
	}
	out = tables.Item[I]{Attributes: in.Attributes, ExpiresAt: in.ExpiresAt, Time: in.Time}
	out.ItemID, err = n.itemOf(in.ItemID)
	return out, err
}

func (n naming[I]) userRow(line []byte) (out tables.User[I], err error) {
	in, err := parse[tables.User[string]](line)
	if err == nil && in.Attributes == "" {
		err = required("attributes")
	}
	if err != nil {
		return out, err
	}
	out = tables.User[I]{Attributes: in.Attributes, Time: in.Time}
	out.UserID, err = n.userOf(in.UserID)
	return out, err
}

func (n naming[I]) userFactors(line []byte) (out tables.UserFactors[I], err error) {
	in, err := parse[tables.UserFactors[string]](line)
	if err != nil {
		return out, err
	}
	out.Factors = in.Factors
	out.UserID, err = n.userOf(in.UserID)
	return out, err
}

func (n naming[I]) itemFactors(line []byte) (out tables.ItemFactors[I], err error) {
	in, err := parse[tables.ItemFactors[string]](line)
	if err != nil {
		return out, err
	}
	out.Factors = in.Factors
	out.ItemID, err = n.itemOf(in.ItemID)
	return out, err
}

// sides are the two tables of a model.
type sides[I tables.ID] struct {
	users rows[tables.UserFactors[I]]
	items rows[tables.ItemFactors[I]]
}

func (s *sides[I]) add(line []byte) error {
	if bytes.HasPrefix(line, []byte(`{"user_id"`)) {
		return s.users.add(line)
	}
	return s.items.add(line)
}

func (s *sides[I]) close() error { return errors.Join(s.users.close(), s.items.close()) }

func (s *sides[I]) abandon() {
	s.users.abandon()
	s.items.abandon()
}
