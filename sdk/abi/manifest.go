package abi

import "strconv"

// Manifest is what a plugin says about itself. Its JSON form is in the package
// comment; hosts read it with encoding/json, guests write it with AppendJSON.
type Manifest struct {
	Name    string   `json:"name"`
	Version string   `json:"version"`
	Summary string   `json:"summary"`
	Kinds   []Kind   `json:"kinds"`
	Reads   []Column `json:"reads"`
	Writes  []Column `json:"writes"`
	Config  []Key    `json:"config"`
	Fuel    Fuel     `json:"fuel"`
	Pages   int      `json:"pages"`
}

// Column is a column that a plugin reads or writes.
type Column struct {
	Name  string `json:"name"`
	Scope Scope  `json:"scope"`
	Type  Type   `json:"type"`
}

// Key is a configuration key.
type Key struct {
	Key  string `json:"key"`
	Type string `json:"type"`
	// Default is a float64, string, bool or list of strings ([]string in a
	// guest, []any of string as encoding/json reads it), or nil for a key that
	// the operator must give.
	Default any    `json:"default"`
	Help    string `json:"help"`
}

// Types of configuration keys.
const (
	KeyNumber = "number"
	KeyText   = "text"
	KeyFlag   = "flag"
	KeyTexts  = "texts"
)

// Fuel is the author's estimate of what one call costs at most.
type Fuel struct {
	Base    int64 `json:"base"`
	PerItem int64 `json:"per_item"`
}

// Columns is the column table: what is read, then what is written.
func (m *Manifest) Columns() []Column {
	all := make([]Column, 0, len(m.Reads)+len(m.Writes))
	return append(append(all, m.Reads...), m.Writes...)
}

// Has says whether the plugin does that kind.
func (m *Manifest) Has(k Kind) bool {
	for _, has := range m.Kinds {
		if has == k {
			return true
		}
	}
	return false
}

// Check finds the first fault of a manifest.
func (m *Manifest) Check() error {
	if !validName(m.Name) {
		return Error("name " + strconv.Quote(m.Name) + " is not 1 to 64 of a-z, 0-9 and -, beginning with a letter")
	}
	if !validVersion(m.Version) {
		return Error("version " + strconv.Quote(m.Version) + " is not a semantic version such as 1.0.0")
	}
	if len(m.Kinds) == 0 {
		return Error("no kinds")
	}
	for i, k := range m.Kinds {
		if k < Feature || k > Event {
			return Error("unknown kind")
		}
		for _, before := range m.Kinds[:i] {
			if before == k {
				return Error("kind " + k.String() + " twice")
			}
		}
	}
	if m.Fuel.Base < 0 || m.Fuel.PerItem < 0 || m.Pages < 0 {
		return Error("fuel and pages must not be negative")
	}
	if err := m.checkColumns(); err != nil {
		return err
	}
	return m.checkConfig()
}

func (m *Manifest) checkColumns() error {
	if len(m.Reads)+len(m.Writes) > MaxColumns {
		return Error("more than " + strconv.Itoa(MaxColumns) + " columns")
	}
	for i, c := range m.Reads {
		if err := c.check(); err != nil {
			return err
		}
		if c.Scope == ScopeEvent && !m.Has(Event) {
			return Error("column " + c.Name + ": scope event without kind event")
		}
		if (c.Scope == ScopeItem || c.Scope == ScopeUser) && c.Type != F32 && c.Type != Code {
			return Error("column " + c.Name + ": attributes are read as f32 or code")
		}
		for _, before := range m.Reads[:i] {
			if before.Name == c.Name && before.Scope == c.Scope {
				return Error("column " + c.Name + " read twice")
			}
		}
	}
	if len(m.Writes) > 0 && !m.Has(Feature) {
		return Error("columns written without kind feature")
	}
	for i, c := range m.Writes {
		if err := c.check(); err != nil {
			return err
		}
		if c.Scope != ScopeFeature || c.Type == Code {
			return Error("column " + c.Name + ": written columns have scope feature and type f32, i32 or u8")
		}
		for _, before := range m.Writes[:i] {
			if before.Name == c.Name {
				return Error("column " + c.Name + " written twice")
			}
		}
	}
	return nil
}

func (m *Manifest) checkConfig() error {
	for i, k := range m.Config {
		if !validColumn(k.Key) {
			return Error("config key " + strconv.Quote(k.Key) + " is not a name")
		}
		if !k.accepts() {
			return Error("config key " + k.Key + ": type " + strconv.Quote(k.Type) + " is unknown or not that of the default")
		}
		for _, before := range m.Config[:i] {
			if before.Key == k.Key {
				return Error("config key " + k.Key + " twice")
			}
		}
	}
	return nil
}

func (c Column) check() error {
	if !validColumn(c.Name) {
		return Error("column name " + strconv.Quote(c.Name) + " is not that of an attribute")
	}
	if c.Scope < ScopeItem || c.Scope > ScopeEvent || c.Type < F32 || c.Type > Code {
		return Error("column " + c.Name + ": unknown scope or type")
	}
	return nil
}

// accepts says whether the default has the key's type.
func (k Key) accepts() bool {
	ok := k.Default == nil
	switch k.Type {
	case KeyNumber:
		_, is := k.Default.(float64)
		return ok || is
	case KeyText:
		_, is := k.Default.(string)
		return ok || is
	case KeyFlag:
		_, is := k.Default.(bool)
		return ok || is
	case KeyTexts:
		if list, is := k.Default.([]any); is {
			for _, v := range list {
				if _, is := v.(string); !is {
					return false
				}
			}
			return true
		}
		_, is := k.Default.([]string)
		return ok || is
	}
	return false
}

func validName(s string) bool {
	if s == "" || len(s) > 64 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c != '-' && (c < 'a' || c > 'z') && !digit(c) {
			return false
		}
	}
	return true
}

func validColumn(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c != '.' && c != '-' && !digit(c)) {
			return false
		}
	}
	return true
}

// validVersion takes MAJOR.MINOR.PATCH with optional -pre.release and +build.
func validVersion(s string) bool {
	if len(s) > 64 {
		return false
	}
	for field := 0; field < 3; field++ {
		n := 0
		for n < len(s) && digit(s[n]) {
			n++
		}
		if n == 0 || n > 1 && s[0] == '0' {
			return false
		}
		s = s[n:]
		if field < 2 {
			if s == "" || s[0] != '.' {
				return false
			}
			s = s[1:]
		}
	}
	if s == "" {
		return true
	}
	if len(s) == 1 || s[0] != '-' && s[0] != '+' {
		return false
	}
	for i := 1; i < len(s); i++ {
		c := s[i]
		if c != '-' && c != '+' && c != '.' && !digit(c) && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

func digit(c byte) bool { return c >= '0' && c <= '9' }
