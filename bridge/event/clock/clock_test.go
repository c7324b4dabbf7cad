package clock

import (
	"math"
	"strconv"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Skip("no time zone data on this system: ", err)
	}
	utc := func(s string) int64 {
		v, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return v.UnixMilli()
	}
	for _, tc := range []struct {
		in   string
		loc  *time.Location
		want int64
	}{
		{"2010-12-01T08:26:00Z", nil, utc("2010-12-01T08:26:00Z")},
		{"2010-12-01t08:26:00z", nil, utc("2010-12-01T08:26:00Z")},
		{"2010-12-01T08:26:00.987654321Z", nil, utc("2010-12-01T08:26:00.987Z")},
		{"2010-12-01T08:26:00.5+05:30", nil, utc("2010-12-01T02:56:00.5Z")},
		{"2010-12-01T08:26:00-0800", nil, utc("2010-12-01T16:26:00Z")},
		{"2010-12-01 08:26:00+01", nil, utc("2010-12-01T07:26:00Z")},
		{"2010-12-01 08:26:00", nil, utc("2010-12-01T08:26:00Z")},
		{"2010-12-01 08:26:00.123", nil, utc("2010-12-01T08:26:00.123Z")},
		{"2010-12-01 08:26:00,1", nil, utc("2010-12-01T08:26:00.1Z")},
		{"2010-12-01T08:26:00", time.UTC, utc("2010-12-01T08:26:00Z")},
		{"2010-12-01 08:26", nil, utc("2010-12-01T08:26:00Z")},
		{"2010-12-01", nil, utc("2010-12-01T00:00:00Z")},
		{"2010/12/01", nil, utc("2010-12-01T00:00:00Z")},
		{"2010/12/01 08:26:00.5", paris, utc("2010-12-01T07:26:00.5Z")},
		{"2012-02-29", nil, utc("2012-02-29T00:00:00Z")},
		{"2000-02-29", nil, utc("2000-02-29T00:00:00Z")},
		{"1970-01-01", nil, 0},
		{"9999-12-31T23:59:59.999Z", nil, Last},
		{"2016-12-31T23:59:60Z", nil, utc("2017-01-01T00:00:00Z")},
		{"2010-12-01 08:26:00", paris, utc("2010-12-01T07:26:00Z")},
		{"2010-07-01 08:26:00.25", paris, utc("2010-07-01T06:26:00.25Z")},
		{"2010-12-01 08:26:00Z", paris, utc("2010-12-01T08:26:00Z")},
		{"1291191960", nil, 1291191960000},
		{"1291191960.25", nil, 1291191960250},
		{"1291191960123", nil, 1291191960123},
		{"99999999999", nil, 99999999999000},
		{"100000000000", nil, 100000000000},
		{"0", nil, 0},
	} {
		if got, ok := Parse(tc.in, tc.loc); !ok || got != tc.want {
			t.Errorf("%q: %d, %v; want %d", tc.in, got, ok, tc.want)
		}
	}
	for _, in := range []string{
		"", "x", "-5", "2010-13-01", "2010-00-01", "2010-12-00", "2011-02-29", "1900-02-29", "2010-04-31",
		"2010-12-01T", "2010-12-01T08", "2010-12-01T24:00:00Z", "2010-12-01T08:60:00Z", "2010-12-01T08:26:61Z",
		"2010-12-01T08:26:00.Z", "2010-12-01T08:26:00+1", "2010-12-01T08:26:00+05:", "2010-12-01T08:26:00+05:3",
		"2010-12-01T08:26:00Zx", "2010-12-01x08:26:00", "2010/12-01", "2010-12/01", "2010/12/1", "12/1/2010 8:26", "1969-12-31", "0000-01-01",
		"999999999999999999999", "1291191960.", ".5", "1e9",
	} {
		if got, ok := Parse(in, nil); ok {
			t.Errorf("%q was taken for %d", in, got)
		}
	}
}

// FuzzParseTime holds the reader against package time wherever both know the
// form.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"2010-12-01T08:26:00.5+05:30", "2010-12-01 08:26", "2010-12-01", "1291191960.5", "2016-12-31T23:59:60Z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := Parse(s, nil)
		if ok && (got < 0 || got > Last) {
			t.Fatalf("%q: %d is out of range", s, got)
		}
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"} {
			want, err := time.Parse(layout, s)
			if ms := want.UnixMilli(); err == nil && ms >= 0 && ms <= Last && want.Year() > 0 {
				// Package time also takes odd spellings, such as an hour of one
				// digit; what it would write itself must be taken here.
				if ok && got != ms || !ok && want.Format(layout) == s {
					t.Fatalf("%q: %d, %v; want %d", s, got, ok, ms)
				}
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		if _, ok := Parse("2010-12-01 08:26:00", nil); !ok {
			b.Fatal("not a time")
		}
	}
}

// TestFromNumber: a number is the time that its text is.
func TestFromNumber(t *testing.T) {
	for _, in := range []float64{0, 1291191960, 1291191960.25, 1291191960.123, 1795727616.844, 1291191960123, 99999999999, 100000000000, Last, Last + 1, 1e300} {
		want, wantOK := Parse(strconv.FormatFloat(in, 'f', -1, 64), nil)
		if got, ok := FromNumber(in); got != want || ok != wantOK {
			t.Errorf("%v: %d, %v; its text %d, %v", in, got, ok, want, wantOK)
		}
	}
	for _, in := range []float64{-1, math.NaN(), math.Inf(1), math.Inf(-1)} {
		if got, ok := FromNumber(in); ok {
			t.Errorf("%v is %d", in, got)
		}
	}
}
