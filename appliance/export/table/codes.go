package table

import (
	"errors"
	"math"

	"vitrine/bridge/parquet/tables"
)

// dictionary numbers ids from 0 in the order in which they come.
type dictionary struct {
	codes map[string]int32
	ids   []string
}

func newDictionary() *dictionary { return &dictionary{codes: map[string]int32{}} }

func (d *dictionary) code(id string) (int32, error) {
	if code, ok := d.codes[id]; ok {
		return code, nil
	}
	if len(d.ids) == math.MaxInt32 {
		return 0, errors.New("there are more ids than codes of 32 bits; export without --codes")
	}
	code := int32(len(d.ids))
	d.codes[id] = code
	d.ids = append(d.ids, id)
	return code, nil
}

// coded writes rows with codes, and in the end what these stand for.
type coded struct {
	rows         sink
	st           *stage
	opt          *Options
	users, items *dictionary
}

func (c *coded) add(line []byte) error { return c.rows.add(line) }

func (c *coded) abandon() { c.rows.abandon() }

func (c *coded) close() error {
	if err := c.rows.close(); err != nil {
		return err
	}
	if c.opt.Kind != Items {
		users := newParts[tables.UserCode](c.st, userCodes, c.opt)
		err := explain(users, c.users, func(code int32, id string) tables.UserCode { return tables.UserCode{Code: code, UserID: id} })
		if err != nil {
			return err
		}
	}
	if c.opt.Kind == Users {
		return nil
	}
	items := newParts[tables.ItemCode](c.st, itemCodes, c.opt)
	return explain(items, c.items, func(code int32, id string) tables.ItemCode { return tables.ItemCode{Code: code, ItemID: id} })
}

// explain writes a dictionary.
func explain[R tables.Row](to *parts[R], d *dictionary, row func(code int32, id string) R) error {
	defer to.abandon()
	for code, id := range d.ids {
		if err := to.add(row(int32(code), id)); err != nil {
			return err
		}
	}
	return to.close()
}
