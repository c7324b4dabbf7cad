package parquet

import (
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
)

// column walks the values of one column of one row group. The library is asked
// for whole pages, whose decoded arrays are copied: ten times quicker than its
// rows.
type column struct {
	name  string
	kind  parquet.Kind
	pages parquet.Pages
	page  parquet.Page
	// rows are those of the page, row the next of them, value the next of its
	// values; levels is empty where no value can be null.
	rows, row, value int
	levels           []byte

	ints    []int64
	small   []int32
	doubles []float64
	index   []int32
	data    []byte
	offsets []uint32
	// remap goes from the file's dictionary to the scan's; it is made once per
	// dictionary. same says that both have the same numbers, up to entries.
	remap   []uint32
	same    bool
	entries int
	known   parquet.Dictionary
	// dict is the scan's, nil for a column whose strings are taken as they are.
	dict *dictionary
}

// next makes the next page current when this one is used up, and returns how
// many rows of it are left.
func (c *column) next() (int, error) {
	for c.row == c.rows {
		c.release()
		page, err := c.pages.ReadPage()
		if errors.Is(err, io.EOF) {
			return 0, fmt.Errorf("column %s has too few rows", c.name)
		}
		if err != nil {
			return 0, fmt.Errorf("column %s: %w", c.name, err)
		}
		c.page = page
		if err := c.load(); err != nil {
			return 0, fmt.Errorf("column %s: %w", c.name, err)
		}
	}
	return c.rows - c.row, nil
}

func (c *column) load() error {
	c.rows, c.row, c.value = int(c.page.NumValues()), 0, 0
	c.levels = c.page.DefinitionLevels()
	values := c.rows
	if len(c.levels) > 0 {
		if len(c.levels) != c.rows {
			return fmt.Errorf("page has %d rows and %d levels", c.rows, len(c.levels))
		}
		values -= int(c.page.NumNulls())
	}
	c.index, c.ints, c.small, c.doubles, c.data, c.offsets = nil, nil, nil, nil, nil, nil
	data := c.page.Data()
	have := 0
	switch dict := c.page.Dictionary(); {
	case dict != nil && c.kind == parquet.ByteArray:
		c.index = data.Int32()
		have = len(c.index)
		c.translate(dict)
	case dict != nil:
		return errors.New("numbers in a dictionary are not supported")
	case c.kind == parquet.Int64:
		c.ints = data.Int64()
		have = len(c.ints)
	case c.kind == parquet.Int32:
		c.small = data.Int32()
		have = len(c.small)
	case c.kind == parquet.Double:
		c.doubles = data.Double()
		have = len(c.doubles)
	default:
		c.data, c.offsets = data.ByteArray()
		have = len(c.offsets) - 1
	}
	if have < values {
		return fmt.Errorf("page has %d values, not %d", have, values)
	}
	return nil
}

func (c *column) translate(dict parquet.Dictionary) {
	if c.known == dict {
		return
	}
	c.known = dict
	c.data, c.offsets = nil, nil
	n := dict.Len()
	if c.dict == nil {
		return
	}
	if c.same = c.dict.takeOver; c.same {
		values := dict.Page().Data()
		c.dict.take(values.ByteArray())
		c.entries = len(c.dict.names)
		return
	}
	c.remap = make([]uint32, n)
	for i := range c.remap {
		c.remap[i] = c.dict.code(dict.Index(int32(i)).ByteArray())
	}
}

func (c *column) release() {
	if c.page != nil {
		parquet.Release(c.page)
		c.page = nil
	}
}

func (c *column) close() error {
	c.release()
	return c.pages.Close()
}

// null tells whether the current row has no value, and moves on if so.
func (c *column) null() bool {
	if len(c.levels) == 0 || c.levels[c.row] != 0 {
		return false
	}
	c.row++
	return true
}

func readInts[T int64 | uint64](c *column, dst []T) error {
	for len(dst) > 0 {
		left, err := c.next()
		if err != nil {
			return err
		}
		if len(c.levels) > 0 {
			return fmt.Errorf("column %s must not have nulls", c.name)
		}
		n := min(left, len(dst))
		for i, v := range c.ints[c.row : c.row+n] {
			dst[i] = T(v)
		}
		c.row += n
		dst = dst[n:]
	}
	return nil
}

// readNumbers reads numbers; a null is none. page is the field that load sets to
// those of the present page.
func readNumbers[T int32 | float64](c *column, dst []T, page *[]T, none T) error {
	for i := 0; i < len(dst); {
		left, err := c.next()
		if err != nil {
			return err
		}
		values := *page
		for range min(left, len(dst)-i) {
			if c.null() {
				dst[i] = none
			} else {
				dst[i] = values[c.value]
				c.value++
				c.row++
			}
			i++
		}
	}
	return nil
}

func (c *column) readCodes(dst []uint32) error {
	for len(dst) > 0 {
		left, err := c.next()
		if err != nil {
			return err
		}
		if len(c.levels) > 0 {
			return fmt.Errorf("column %s must not have nulls", c.name)
		}
		n := min(left, len(dst))
		switch {
		case c.index == nil:
			for i := range n {
				dst[i] = c.dict.code(c.data[c.offsets[c.row+i]:c.offsets[c.row+i+1]])
			}
		case c.same:
			for i, k := range c.index[c.row : c.row+n] {
				if uint(uint32(k)) >= uint(c.entries) {
					return fmt.Errorf("column %s: dictionary has no entry %d", c.name, k)
				}
				dst[i] = uint32(k)
			}
		default:
			for i, k := range c.index[c.row : c.row+n] {
				if uint(uint32(k)) >= uint(len(c.remap)) {
					return fmt.Errorf("column %s: dictionary has no entry %d", c.name, k)
				}
				dst[i] = c.remap[k]
			}
		}
		c.row += n
		dst = dst[n:]
	}
	return nil
}

// readStrings appends the bytes of n rows to arena and their ends to ends; a
// null is an empty string.
func (c *column) readStrings(arena []byte, ends []int, n int) ([]byte, []int, error) {
	for n > 0 {
		left, err := c.next()
		if err != nil {
			return nil, nil, err
		}
		for range min(left, n) {
			n--
			if c.null() {
				ends = append(ends, len(arena))
				continue
			}
			if c.index == nil {
				arena = append(arena, c.data[c.offsets[c.value]:c.offsets[c.value+1]]...)
			} else {
				arena = append(arena, c.known.Index(c.index[c.value]).ByteArray()...)
			}
			c.value++
			c.row++
			ends = append(ends, len(arena))
		}
	}
	return arena, ends, nil
}
