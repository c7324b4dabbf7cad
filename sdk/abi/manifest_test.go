package abi

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func testManifest() *Manifest {
	return &Manifest{
		Name: "price-band", Version: "1.2.3-rc.1+b5", Summary: "a \"summary\"\n\\ with é and \x01",
		Kinds:  []Kind{Feature, Scorer},
		Reads:  []Column{{"price", ScopeItem, F32}, {"region", ScopeUser, Code}, {"recency", ScopeFeature, F32}},
		Writes: []Column{{"recency", ScopeFeature, F32}},
		Config: []Key{
			{"low", KeyNumber, 1e21, "lower"},
			{"name", KeyText, "x", ""},
			{"on", KeyFlag, true, ""},
			{"list", KeyTexts, []string{"a", "b"}, ""},
			{"must", KeyNumber, nil, ""},
		},
		Fuel: Fuel{4000, 60}, Pages: 64,
	}
}

func TestTheHostReadsWhatAGuestWrites(t *testing.T) {
	want := testManifest()
	decoder := json.NewDecoder(bytes.NewReader(want.AppendJSON(nil)))
	decoder.DisallowUnknownFields()
	got := new(Manifest)
	if err := decoder.Decode(got); err != nil {
		t.Fatalf("%v in %s", err, want.AppendJSON(nil))
	}
	want.Config[3].Default = []any{"a", "b"} // as encoding/json reads a list
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read\n%+v\nwant\n%+v", got, want)
	}
	if err := got.Check(); err != nil {
		t.Error(err)
	}
}

func TestMarshalAgreesWithAppendJSON(t *testing.T) {
	m := testManifest()
	byHand, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var a, b any
	if json.Unmarshal(byHand, &a) != nil || json.Unmarshal(m.AppendJSON(nil), &b) != nil || !reflect.DeepEqual(a, b) {
		t.Errorf("encoding/json: %s\nAppendJSON:    %s", byHand, m.AppendJSON(nil))
	}
}

func TestManifestNamesAreChecked(t *testing.T) {
	for _, text := range []string{
		`{"kinds":["sorcerer"]}`,
		`{"reads":[{"name":"a","scope":"galaxy","type":"f32"}]}`,
		`{"reads":[{"name":"a","scope":"item","type":"f64"}]}`,
		`{"kinds":["unknown"]}`,
		`{"kinds":[""]}`,
	} {
		if err := json.Unmarshal([]byte(text), new(Manifest)); err == nil {
			t.Errorf("took %s", text)
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	for want, change := range map[string]func(m *Manifest){
		"name":                  func(m *Manifest) { m.Name = "Price" },
		"name \"\"":             func(m *Manifest) { m.Name = "" },
		"name \"../x\"":         func(m *Manifest) { m.Name = "../x" },
		"version \"1.2\"":       func(m *Manifest) { m.Version = "1.2" },
		"version \"01.2.3\"":    func(m *Manifest) { m.Version = "01.2.3" },
		"version \"1.2.3.4\"":   func(m *Manifest) { m.Version = "1.2.3.4" },
		"version \"1.2.3-\"":    func(m *Manifest) { m.Version = "1.2.3-" },
		"version \"1.2.3-a/b\"": func(m *Manifest) { m.Version = "1.2.3-a/b" },
		"no kinds":              func(m *Manifest) { m.Kinds = nil },
		"unknown kind":          func(m *Manifest) { m.Kinds = []Kind{9} },
		"kind scorer twice":     func(m *Manifest) { m.Kinds = []Kind{Feature, Scorer, Scorer} },
		"negative":              func(m *Manifest) { m.Fuel.PerItem = -1 },
		"more than 256 columns": func(m *Manifest) { m.Reads = make([]Column, 256) },
		"not that of":           func(m *Manifest) { m.Reads[0].Name = "1st" },
		"unknown scope":         func(m *Manifest) { m.Reads[0].Scope = 0 },
		"price read twice":      func(m *Manifest) { m.Reads[1] = m.Reads[0] },
		"attributes are read":   func(m *Manifest) { m.Reads[0].Type = I32 },
		"scope event without":   func(m *Manifest) { m.Reads[0].Scope = ScopeEvent },
		"without kind feature":  func(m *Manifest) { m.Kinds = []Kind{Scorer} },
		"written columns have":  func(m *Manifest) { m.Writes[0].Type = Code },
		"recency written twice": func(m *Manifest) { m.Writes = append(m.Writes, m.Writes[0]) },
		"config key \"\"":       func(m *Manifest) { m.Config[0].Key = "" },
		"config key low twice":  func(m *Manifest) { m.Config[1].Key = "low" },
		"low: type":             func(m *Manifest) { m.Config[0].Default = "1" },
		"on: type":              func(m *Manifest) { m.Config[2].Type = "bool" },
		"list: type":            func(m *Manifest) { m.Config[3].Default = []any{"a", 1.0} },
	} {
		m := testManifest()
		change(m)
		if err := m.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	if err := testManifest().Check(); err != nil {
		t.Error(err)
	}
}

// FuzzAppendString: every string becomes JSON that reads back as the string
// with its broken bytes replaced.
func FuzzAppendString(f *testing.F) {
	f.Add("a\"b\\c\x00\x1f\u2028é\xff")
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		if err := json.Unmarshal(AppendString(nil, s), &got); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if want := strings.ToValidUTF8(s, "\uFFFD"); got != want && got != string([]rune(s)) {
			t.Errorf("%q read back as %q", s, got)
		}
	})
}
