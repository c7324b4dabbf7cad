package model

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"testing"
)

// random makes a model with normal factors.
func random(users, items, rank int, seed uint64) *Model {
	rng := rand.New(rand.NewPCG(seed, 1))
	m := &Model{
		Rank: rank, NumUsers: users, NumItems: items,
		Users: make([]float32, users*rank), Items: make([]float32, items*rank),
		ItemScale: make([]float32, items),
		Params:    Params{Alpha0: 0.1, Lambda: 0.05, Nu: 1, FrequencyPower: 0.5},
	}
	for _, v := range [][]float32{m.Users, m.Items} {
		for i := range v {
			v[i] = float32(rng.NormFloat64())
		}
	}
	for i := range m.ItemScale {
		m.ItemScale[i] = 0.5 + rng.Float32()
	}
	return m
}

// sectionsOf encodes a model that is known to be good.
func sectionsOf(t testing.TB, m *Model, prefix string) []Section {
	t.Helper()
	s, err := m.Sections(prefix)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestModelRoundTrip(t *testing.T) {
	for _, shape := range [][3]int{{7, 5, 3}, {0, 0, 1}, {0, 4, 2}, {3, 0, 2}, {40, 30, 64}} {
		a, b := random(shape[0], shape[1], shape[2], 1), random(2, 2, 2, 2)
		path := writeSample(t, append(sectionsOf(t, a, "live"), sectionsOf(t, b, "old")...))
		f, err := OpenFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for prefix, want := range map[string]*Model{"live": a, "old": b} {
			got, err := FromSections(f, prefix)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("shape %v, %s: got %+v", shape, prefix, got)
			}
		}
		if _, err := FromSections(f, "none"); err == nil {
			t.Error("read a model that is not there")
		}
	}
}

// TestExplicitModelsRoundTrip: what explicit models have beside the factors
// comes back, and implicit models are written as before there were any.
func TestExplicitModelsRoundTrip(t *testing.T) {
	for name, params := range map[string]Params{
		"explicit": {Explicit: true, Lambda: 0.1, Nu: 1},
		"biases":   {Explicit: true, Biases: true, Mean: 3.53, Lambda: 0.38, Nu: 0.75, BiasLambda: 3},
	} {
		want := random(4, 3, 5, 1)
		want.Params = params
		f, err := OpenFile(writeSample(t, sectionsOf(t, want, "live")))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := FromSections(f, "live"); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	head := string(sectionsOf(t, random(1, 1, 1, 1), "live")[0].Data)
	if want := `{"rank":1,"users":1,"items":1,"params":{"alpha0":0.1,"lambda":0.05,"nu":1,"frequency_power":0.5}}`; head != want {
		t.Errorf("an implicit model is written as %s", head)
	}
}

func TestScoresAndBiases(t *testing.T) {
	m := &Model{Rank: 3, NumUsers: 1, NumItems: 1, Users: []float32{2, .5, 1}, Items: []float32{3, 1, .25}, ItemScale: []float32{1}}
	if got := m.Score(0, 0); got != 6.75 {
		t.Errorf("score %v", got)
	}
	if m.UserBias(0) != 0 || m.ItemBias(0) != 0 {
		t.Error("a model without biases has some")
	}
	m.Params = Params{Explicit: true, Biases: true}
	if m.UserBias(0) != .5 || m.ItemBias(0) != .25 {
		t.Errorf("biases %v and %v", m.UserBias(0), m.ItemBias(0))
	}
}

func TestFloatsOfAnyByteOrder(t *testing.T) {
	// The path of big-endian machines, checked against the one used here.
	want := []float32{0, 1, -2.5, math.MaxFloat32, math.SmallestNonzeroFloat32}
	s := Float32s("x", want)
	for i, v := range want {
		if got := math.Float32frombits(binary.LittleEndian.Uint32(s.Data[4*i:])); got != v {
			t.Errorf("number %d: got %g, want %g", i, got, v)
		}
	}
}

func TestSectionsRefuseABrokenModel(t *testing.T) {
	nan := float32(math.NaN())
	for name, damage := range map[string]func(m *Model){
		"rank":           func(m *Model) { m.Rank = 0 },
		"users":          func(m *Model) { m.NumUsers++ },
		"items":          func(m *Model) { m.Items = m.Items[1:] },
		"scales":         func(m *Model) { m.ItemScale = nil },
		"negative scale": func(m *Model) { m.ItemScale[1] = -1 },
		"NaN scale":      func(m *Model) { m.ItemScale[1] = nan },
		"alpha0":         func(m *Model) { m.Params.Alpha0 = -1 },
		"lambda":         func(m *Model) { m.Params.Lambda = nan },
		"bias lambda":    func(m *Model) { m.Params.BiasLambda = -1 },
		"mean":           func(m *Model) { m.Params.Mean = nan },
		"biases of what": func(m *Model) { m.Params.Biases = true },
		"biases alone":   func(m *Model) { m.Params.Biases, m.Params.Explicit = true, true },
	} {
		m := random(3, 3, 2, 1)
		damage(m)
		if _, err := m.Sections("live"); err == nil {
			t.Errorf("%s: encoded", name)
		}
	}
}

func TestFromSectionsRefuses(t *testing.T) {
	for name, damage := range map[string]func(s []Section){
		"no JSON":        func(s []Section) { s[0].Data = []byte("{") },
		"long JSON":      func(s []Section) { s[0].Data = make([]byte, maxMeta+1) },
		"rank 0":         func(s []Section) { s[0].Data = []byte(`{"rank":0}`) },
		"overflow":       func(s []Section) { s[0].Data = []byte(`{"rank":4096,"users":4503599627370496,"items":0}`) },
		"wraps to fit":   func(s []Section) { s[0].Data = []byte(`{"rank":2,"users":9223372036854775807,"items":3}`) },
		"negative":       func(s []Section) { s[0].Data = []byte(`{"rank":2,"users":-3,"items":3}`) },
		"other counts":   func(s []Section) { s[0].Data = []byte(`{"rank":2,"users":4,"items":3}`) },
		"odd bytes":      func(s []Section) { s[1].Data = s[1].Data[1:] },
		"infinite":       func(s []Section) { s[1] = Float32s("live/users", []float32{0, 0, 0, 0, float32(math.Inf(1)), 0}) },
		"NaN":            func(s []Section) { s[2] = Float32s("live/items", []float32{0, 0, 0, 0, float32(math.NaN()), 0}) },
		"negative scale": func(s []Section) { s[3] = Float32s("live/scale", []float32{1, 1, -1}) },
		"no scale":       func(s []Section) { s[3].Name = "other" },
	} {
		s := sectionsOf(t, random(3, 3, 2, 1), "live")
		damage(s)
		f, err := OpenFile(writeSample(t, s))
		if err != nil {
			t.Fatal(err)
		}
		var corrupt *CorruptError
		if _, err := FromSections(f, "live"); !errors.As(err, &corrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// fixHeader makes the checksums of header and table right again.
func fixHeader(data []byte) {
	n := binary.LittleEndian.Uint32(data[12:])
	if end := headerSize + int64(n)*entrySize; end <= int64(len(data)) {
		table := data[headerSize:end]
		for row := 0; row < len(table); row += entrySize {
			e := table[row:]
			at, length := binary.LittleEndian.Uint64(e[40:]), binary.LittleEndian.Uint64(e[48:])
			if at <= uint64(len(data)) && length <= uint64(len(data))-at {
				binary.LittleEndian.PutUint32(e[56:], crc32.Checksum(data[at:at+length], castagnoli))
			}
		}
		binary.LittleEndian.PutUint32(data[24:], crc32.Checksum(table, castagnoli))
	}
	binary.LittleEndian.PutUint32(data[headerCRCPos:], crc32.Checksum(data[:headerCRCPos], castagnoli))
}

// FuzzOpen feeds hostile files to the reader, as they are and with checksums
// made right, so that the checks behind them are reached. Nothing may panic,
// and no file may make the reader allocate much more than it has bytes.
func FuzzOpen(f *testing.F) {
	for _, s := range [][]Section{nil, sample(), sectionsOf(f, random(3, 2, 2, 1), "live")} {
		data, err := os.ReadFile(writeSample(f, s))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, true)
	}
	f.Add([]byte(magic), false)
	path := filepath.Join(f.TempDir(), fmt.Sprintf("x%d", os.Getpid()))
	f.Fuzz(func(t *testing.T, data []byte, fix bool) {
		if fix && len(data) >= headerSize {
			fixHeader(data)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		file, err := OpenFile(path)
		if err == nil {
			if m, err := FromSections(file, "live"); err == nil {
				if err := m.Check(); err != nil {
					t.Errorf("read a model that is not usable: %v", err)
				}
			}
		}
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 8*uint64(len(data))+64<<10 {
			t.Errorf("%d bytes allocated for a file of %d", used, len(data))
		}
	})
}

// BenchmarkOpenFile reads a model of 1M users, 100k items and rank 16 (70 MB).
// The limit is memory bandwidth: one copy out of the page cache, one pass for
// the checksums and two for numbers that are not finite.
func BenchmarkOpenFile(b *testing.B) {
	path := writeSample(b, sectionsOf(b, random(1_000_000, 100_000, 16, 1), "live"))
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(info.Size())
	for b.Loop() {
		f, err := OpenFile(path)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := FromSections(f, "live"); err != nil {
			b.Fatal(err)
		}
	}
}
