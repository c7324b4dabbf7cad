package live

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/als"
	"vitrine/als/dataset"
	"vitrine/als/model"
	"vitrine/appliance/registry"
	"vitrine/appliance/signal"
)

// write stores a bundle of three users and items, whose rows are known by
// their numbers, and returns its path.
func write(t *testing.T) (string, *model.Model) {
	t.Helper()
	data, err := dataset.FromTriples(3, 3, []uint32{0, 0, 1, 1, 2}, []uint32{0, 1, 1, 2, 2}, []float32{1, 1, 1, 1, 1})
	if err != nil {
		t.Fatal(err)
	}
	m, _, err := als.Train(t.Context(), data, als.Options{Rank: 2, Unobserved: 1})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "v7.bundle")
	err = registry.Write(path, &registry.Bundle{
		Version: "v7", Created: time.Now(), Model: m, Evaluated: m,
		UserIDs: []string{"a", "b", "c"}, ItemIDs: []string{"x", "y", "z"}, ItemWeight: []float32{1, 1, 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	return path, m
}

// TestRowsAreMappedByID: whatever the order of the window, and zero where the
// bundle knows nothing.
func TestRowsAreMappedByID(t *testing.T) {
	path, m := write(t)
	v, reason := Load(path, []string{"new", "c", "a"}, []string{"z", "fresh", "x", "y"})
	if v == nil || reason != "" || v.Name != "v7" || v.Measure != signal.Confidence {
		t.Fatalf("%+v, %q", v, reason)
	}
	if want := slices.Concat(make([]float32, 2), m.Users[4:6], m.Users[0:2]); !slices.Equal(v.Model.Users, want) {
		t.Errorf("users %v, want %v", v.Model.Users, want)
	}
	if want := slices.Concat(m.Items[4:6], make([]float32, 2), m.Items[0:4]); !slices.Equal(v.Model.Items, want) {
		t.Errorf("items %v, want %v", v.Model.Items, want)
	}
	if v.Model.ItemScale[1] != 0 || v.Model.ItemScale[2] != m.ItemScale[0] {
		t.Errorf("scales %v", v.Model.ItemScale)
	}
}

// TestServedIsTheFoldIn: of users that are judged and have a history that the
// version knows; the others are left to popularity.
func TestServedIsTheFoldIn(t *testing.T) {
	path, m := write(t)
	v, _ := Load(path, []string{"a", "b", "new"}, []string{"x", "y", "z", "fresh"})
	train, _ := dataset.FromTriples(3, 4, []uint32{0, 0, 1, 2}, []uint32{0, 1, 1, 3}, []float32{1, 1, 1, 1})
	targets, _ := dataset.FromTriples(3, 4, []uint32{0, 2}, []uint32{2, 0}, []float32{1, 1})
	served, err := v.Served(t.Context(), train, targets)
	if err != nil {
		t.Fatal(err)
	}
	for k, got := range served.Users[:2] {
		if d := got - m.Users[k]; d > 1e-5 || d < -1e-5 {
			t.Errorf("user a has %v, in training he had %v", served.Users[:2], m.Users[:2])
		}
	}
	if !slices.Equal(served.Users[2:], make([]float32, 4)) {
		t.Errorf("users that are not judged, or unknown: %v", served.Users[2:])
	}
}

func TestNothingToUseHasAReason(t *testing.T) {
	path, _ := write(t)
	v, _ := Load(path, []string{"a"}, []string{"x"})
	for want, got := range map[string]string{
		"trained on confidence": v.OtherThan(signal.Ratings, 2, false),
		"another loss":          v.OtherThan(signal.Confidence, 2, true),
		"rows of 2 numbers":     v.OtherThan(signal.Confidence, 3, false),
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := v.OtherThan(signal.Confidence, 2, false); got != "" {
		t.Errorf("%q of its own like", got)
	}
	for path, want := range map[string]string{"": "no live version", path + ".gone": "cannot be read"} {
		if v, reason := Load(path, nil, nil); v != nil || !strings.Contains(reason, want) {
			t.Errorf("%q: %v, %q", path, v, reason)
		}
	}
}
