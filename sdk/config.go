package sdk

import (
	"strconv"
	"unicode/utf8"

	"vitrine/sdk/abi"
)

// key is a declared configuration key: where its value goes. One of the
// pointers is set.
type key struct {
	name   string
	number *float64
	text   *string
	flag   *bool
	texts  *[]string
}

// Number declares a configuration key and returns where its value will be, as
// the flag package does. Values are set before OnConfigure runs; they are
// defaults before that.
func (p *Plugin) Number(name string, def float64, help string) *float64 {
	p.declare(name, abi.KeyNumber, def, help)
	p.keys = append(p.keys, key{name: name, number: &def})
	return &def
}

// Text declares a configuration key that holds a string.
func (p *Plugin) Text(name, def, help string) *string {
	p.declare(name, abi.KeyText, def, help)
	p.keys = append(p.keys, key{name: name, text: &def})
	return &def
}

// Flag declares a configuration key that holds true or false.
func (p *Plugin) Flag(name string, def bool, help string) *bool {
	p.declare(name, abi.KeyFlag, def, help)
	p.keys = append(p.keys, key{name: name, flag: &def})
	return &def
}

// Texts declares a configuration key that holds a list of strings.
func (p *Plugin) Texts(name string, def []string, help string) *[]string {
	if def == nil {
		def = []string{}
	}
	p.declare(name, abi.KeyTexts, def, help)
	p.keys = append(p.keys, key{name: name, texts: &def})
	return &def
}

func (p *Plugin) declare(name, kind string, def any, help string) {
	p.manifest.Config = append(p.manifest.Config, abi.Key{Key: name, Type: kind, Default: def, Help: help})
}

// Required makes the keys of these names ones that the operator must give.
func (p *Plugin) Required(names ...string) {
	for _, n := range names {
		for i := range p.manifest.Config {
			if p.manifest.Config[i].Key == n {
				p.manifest.Config[i].Default = nil
			}
		}
	}
}

// readConfig sets the keys from a JSON object: exactly the JSON that the
// contract allows, by hand because guests cannot use encoding/json.
func readConfig(data []byte, keys []key) error {
	r := reader{data: data}
	if !r.take('{') {
		return r.fault("want an object")
	}
	for first := true; !r.take('}'); first = false {
		if !first && !r.take(',') {
			return r.fault("want , or }")
		}
		name, err := r.text()
		if err != nil {
			return err
		}
		if !r.take(':') {
			return r.fault("want :")
		}
		if err := r.value(name, keys); err != nil {
			return err
		}
	}
	if r.space(); r.at != len(r.data) {
		return r.fault("bytes after the object")
	}
	return nil
}

// reader walks over JSON text.
type reader struct {
	data []byte
	at   int
}

func (r *reader) fault(text string) error {
	return abi.Error("configuration, byte " + strconv.Itoa(r.at) + ": " + text)
}

func (r *reader) space() {
	for r.at < len(r.data) && (r.data[r.at] == ' ' || r.data[r.at] == '\n' || r.data[r.at] == '\t' || r.data[r.at] == '\r') {
		r.at++
	}
}

// take moves over c if it is next.
func (r *reader) take(c byte) bool {
	r.space()
	if r.at < len(r.data) && r.data[r.at] == c {
		r.at++
		return true
	}
	return false
}

func (r *reader) word(w string) bool {
	r.space()
	if len(r.data)-r.at >= len(w) && string(r.data[r.at:r.at+len(w)]) == w {
		r.at += len(w)
		return true
	}
	return false
}

func (r *reader) value(name string, keys []key) error {
	for _, k := range keys {
		if k.name != name {
			continue
		}
		err := r.set(k)
		if err != nil {
			return abi.Error("key " + name + ": " + err.Error())
		}
		return nil
	}
	return r.fault("unknown key " + strconv.Quote(name))
}

func (r *reader) set(k key) (err error) {
	switch {
	case k.number != nil:
		*k.number, err = r.number()
	case k.text != nil:
		*k.text, err = r.text()
	case k.texts != nil:
		*k.texts, err = r.texts()
	default:
		*k.flag = r.word("true")
		if !*k.flag && !r.word("false") {
			err = r.fault("want true or false")
		}
	}
	return err
}

func (r *reader) number() (float64, error) {
	r.space()
	from := r.at
	for r.at < len(r.data) && numeric(r.data[r.at]) {
		r.at++
	}
	v, err := strconv.ParseFloat(string(r.data[from:r.at]), 64)
	if err != nil {
		r.at = from
		return 0, r.fault("want a number")
	}
	return v, nil
}

func numeric(c byte) bool {
	return c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E'
}

func (r *reader) texts() ([]string, error) {
	if !r.take('[') {
		return nil, r.fault("want an array of strings")
	}
	list := []string{}
	for !r.take(']') {
		if len(list) > 0 && !r.take(',') {
			return nil, r.fault("want , or ]")
		}
		s, err := r.text()
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

func (r *reader) text() (string, error) {
	if !r.take('"') {
		return "", r.fault("want a string")
	}
	var s []byte
	for r.at < len(r.data) {
		c := r.data[r.at]
		r.at++
		switch c {
		case '"':
			return string(s), nil
		case '\\':
			v, ok := r.escape()
			if !ok {
				return "", r.fault("unknown escape")
			}
			s = utf8.AppendRune(s, v)
		default:
			s = append(s, c)
		}
	}
	return "", r.fault("string without end")
}

func (r *reader) escape() (rune, bool) {
	if r.at >= len(r.data) {
		return 0, false
	}
	c := r.data[r.at]
	r.at++
	switch c {
	case '"', '\\', '/':
		return rune(c), true
	case 'b':
		return '\b', true
	case 'f':
		return '\f', true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	case 'u':
		return r.unicode()
	}
	return 0, false
}

// unicode reads the four digits of \u, and of a second half where the first is
// a surrogate.
func (r *reader) unicode() (rune, bool) {
	high, ok := r.hex()
	if !ok || high < 0xD800 || high > 0xDBFF {
		return high, ok
	}
	at := r.at
	if r.at+2 <= len(r.data) && r.data[r.at] == '\\' && r.data[r.at+1] == 'u' {
		r.at += 2
		if low, ok := r.hex(); ok && low >= 0xDC00 && low <= 0xDFFF {
			return (high-0xD800)<<10 + (low - 0xDC00) + 0x10000, true
		}
	}
	r.at = at
	return utf8.RuneError, true
}

func (r *reader) hex() (rune, bool) {
	if r.at+4 > len(r.data) {
		return 0, false
	}
	v, err := strconv.ParseUint(string(r.data[r.at:r.at+4]), 16, 32)
	r.at += 4
	return rune(v), err == nil
}
