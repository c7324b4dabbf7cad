package rulebook

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"vitrine/appliance/frame"
	"vitrine/appliance/httpapi"
	"vitrine/appliance/recommend"
)

// shelf is a shop without attributes.
type shelf struct{}

func (shelf) Filter(string) (frame.Filter, error)     { return nil, errors.New("no filters here") }
func (shelf) Column(frame.Scope, string) frame.Column { return nil }
func (shelf) ItemCode(string) (uint32, bool)          { return 7, true }
func (shelf) Listed(uint32) int64                     { return 0 }
func always(int) error                                { return nil }
func open(t *testing.T, dir string, clock int64) *Book {
	t.Helper()
	b, err := Open(Options{Dir: dir, Engine: recommend.New(recommend.Deps{}), Shop: shelf{}, Now: func() time.Time { return time.Unix(clock, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestVersions: what was in force before can be looked at and put again, also
// after a start; the version in force is told beside it.
func TestVersions(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir, 0)
	if set, inForce, err := b.Rules(0); err != nil || inForce != 0 || len(set.Rules) != 0 {
		t.Errorf("%+v, %d, %v", set, inForce, err)
	}
	for slot := range 12 {
		if _, err := b.SetRules(fmt.Appendf(nil, `{"rules":[{"action":"pin","item_id":"i7","slot":%d}]}`, slot+1), false, always); err != nil {
			t.Fatal(err)
		}
	}
	for name, b := range map[string]*Book{"the same": b, "opened again": open(t, dir, 9)} {
		for version, slot := range map[int]float64{0: 12, 12: 12, 11: 11, 3: 3} {
			set, inForce, err := b.Rules(version)
			if err != nil || inForce != 12 || set.Version != int(slot) || set.Rules[0]["slot"] != slot {
				t.Errorf("%s, version %d: %+v, in force %d, %v", name, version, set, inForce, err)
			}
		}
		for _, version := range []int{-1, 1, 2, 13} {
			var p *httpapi.Problem
			if _, _, err := b.Rules(version); !errors.As(err, &p) || p.Status != 404 || p.Code != "unknown_version" {
				t.Errorf("%s, version %d: %v", name, version, err)
			}
		}
	}
}
