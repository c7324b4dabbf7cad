package catalog

import (
	"strconv"
	"strings"
	"sync"
)

// dictionary numbers the texts of all columns from 1. There is one for both
// scopes, so that a user's region equals an item's by its code.
type dictionary struct {
	mu    sync.RWMutex
	codes map[string]uint32
	texts []string // by code - 1
}

// code is the number of a text, 0 when it never came up.
func (d *dictionary) code(text string) uint32 {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.codes[text]
}

// add is the number of a text, the next one for a new text. The text is kept.
func (d *dictionary) add(text string) uint32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	code := d.codes[text]
	if code == 0 {
		code = uint32(len(d.codes) + 1)
		d.codes[text] = code
		d.texts = append(d.texts, text)
	}
	return code
}

// all are the texts so far, by code - 1. They must not be changed.
func (d *dictionary) all() []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.texts
}

// setDictionary numbers sets of texts from 1, like dictionary: items share
// their combinations of tags.
type setDictionary struct {
	keys dictionary
	mu   sync.RWMutex
	sets [][]string // by code - 1
}

// setKey writes a set so that no two are alike.
func setKey(set []string) string {
	var b strings.Builder
	for _, member := range set {
		b.WriteString(strconv.Itoa(len(member)))
		b.WriteByte(':')
		b.WriteString(member)
	}
	return b.String()
}

func (d *setDictionary) code(set []string) uint32 { return d.keys.code(setKey(set)) }

// add is the number of a set. One writer at a time; the set is kept.
func (d *setDictionary) add(set []string) uint32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.keys.codes == nil {
		d.keys.codes = map[string]uint32{}
	}
	code := d.keys.add(setKey(set))
	if int(code) > len(d.sets) {
		d.sets = append(d.sets, set)
	}
	return code
}

func (d *setDictionary) all() [][]string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.sets
}
