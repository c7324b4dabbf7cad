// Package clock reads times as they stand in files and in requests, without
// being told their form. It is a leaf and imports nothing of this module.
package clock

import (
	"math"
	"time"
)

// Last is the last millisecond of the year 9999: a later date does not fit
// four digits.
const Last = 253402300799999

// secondsBelow parts Unix seconds from Unix milliseconds: as milliseconds it
// is March 1973, as seconds the year 5138.
const secondsBelow = 100_000_000_000

// Parse understands RFC 3339 (a fraction of any length, cut to milliseconds),
// the same with a space or without a zone (taken in loc; nil means UTC), with
// or without seconds, a date alone, dates as 2026/11/26, and Unix seconds or
// milliseconds (below 1e11: seconds, which may have a fraction). The result is in Unix
// milliseconds; ok is false for anything else, for days that no calendar has,
// and before 1970 and after Last.
func Parse[T string | []byte](s T, loc *time.Location) (ms int64, ok bool) {
	// The shortest forms are Unix numbers; a date has its dash or slash at 4.
	if len(s) < 10 || s[4] != '-' && s[4] != '/' || s[7] != s[4] {
		return parseUnix(s)
	}
	year, ok1 := number4(s)
	month, ok2 := number2(s, 5)
	day, ok3 := number2(s, 8)
	if !ok1 || !ok2 || !ok3 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return 0, false
	}
	days := daysSince1970(year, month, day)
	clock, zone, zoned, ok := parseClock(s)
	if !ok {
		return 0, false
	}
	ms = days*86_400_000 + clock
	switch {
	case zoned:
		ms -= zone
	case loc != nil && loc != time.UTC:
		d := time.Duration(clock) * time.Millisecond
		h, m := int(d/time.Hour), int(d/time.Minute%60)
		ms = time.Date(year, time.Month(month), day, h, m, 0, int(d%time.Minute), loc).UnixMilli()
	}
	return ms, ms >= 0 && ms <= Last
}

// parseClock reads what follows the date: the milliseconds of the day and,
// when zoned, of the zone's offset.
func parseClock[T string | []byte](s T) (clock, zone int64, zoned, ok bool) {
	i := 10
	if len(s) == i {
		return 0, 0, false, true
	}
	if c := s[i] | 0x20; c != 't' && c != ' ' || len(s) < i+6 || s[i+3] != ':' {
		return 0, 0, false, false
	}
	hour, ok1 := number2(s, i+1)
	minute, ok2 := number2(s, i+4)
	if !ok1 || !ok2 || hour > 23 || minute > 59 {
		return 0, 0, false, false
	}
	clock = int64(hour)*3_600_000 + int64(minute)*60_000
	i += 6
	if i < len(s) && s[i] == ':' {
		second, ok := number2(s, i+1)
		// 60 is a leap second; it rolls over into the next minute.
		if !ok || second > 60 {
			return 0, 0, false, false
		}
		clock += int64(second) * 1000
		i += 3
		if i < len(s) && (s[i] == '.' || s[i] == ',') {
			milli, end := fraction(s, i+1)
			if end == i+1 {
				return 0, 0, false, false
			}
			clock, i = clock+milli, end
		}
	}
	if i == len(s) {
		return clock, 0, false, true
	}
	zone, ok = parseZone(s, i)
	return clock, zone, true, ok
}

// parseZone reads Z, +hh:mm, +hhmm or +hh at i, to the end of s.
func parseZone[T string | []byte](s T, i int) (ms int64, ok bool) {
	sign := int64(1)
	switch s[i] {
	case 'Z', 'z':
		return 0, len(s) == i+1
	case '-':
		sign = -1
	case '+':
	default:
		return 0, false
	}
	hour, ok := number2(s, i+1)
	if !ok || hour > 23 {
		return 0, false
	}
	i += 3
	minute := 0
	if i < len(s) && s[i] == ':' {
		i++
	}
	if i < len(s) {
		if minute, ok = number2(s, i); !ok || minute > 59 {
			return 0, false
		}
		i += 2
	}
	return sign * (int64(hour)*3_600_000 + int64(minute)*60_000), i == len(s) && s[i-1] != ':'
}

// parseUnix reads digits, with a fraction when they are seconds.
func parseUnix[T string | []byte](s T) (int64, bool) {
	if len(s) == 0 || len(s) > 32 {
		return 0, false
	}
	var v int64
	i := 0
	for ; i < len(s) && s[i]-'0' <= 9; i++ {
		if v = v*10 + int64(s[i]-'0'); v > Last {
			return 0, false
		}
	}
	if i == 0 {
		return 0, false
	}
	var milli int64
	if i < len(s) {
		if s[i] != '.' {
			return 0, false
		}
		var end int
		if milli, end = fraction(s, i+1); end != len(s) || end == i+1 {
			return 0, false
		}
	}
	if v < secondsBelow {
		return v*1000 + milli, true
	}
	return v, true
}

// FromNumber is a time in Unix seconds (below 1e11) or milliseconds, as Parse
// has it for their texts.
func FromNumber(v float64) (ms int64, ok bool) {
	if v < secondsBelow {
		v = math.Round(v*1e6) / 1e3 // a decimal fraction is none of a float64
	}
	if !(v >= 0 && v <= Last) {
		return 0, false
	}
	return int64(v), true
}

// fraction reads decimals at i as milliseconds, cutting what is finer.
func fraction[T string | []byte](s T, i int) (milli int64, end int) {
	scale := int64(100)
	for ; i < len(s) && s[i]-'0' <= 9; i++ {
		milli += int64(s[i]-'0') * scale
		scale /= 10
	}
	return milli, i
}

// number2 reads the two digits at i.
func number2[T string | []byte](s T, i int) (int, bool) {
	if i+2 > len(s) {
		return 0, false
	}
	a, b := s[i]-'0', s[i+1]-'0'
	return int(a)*10 + int(b), a <= 9 && b <= 9
}

// number4 reads the four digits of a year.
func number4[T string | []byte](s T) (int, bool) {
	a, ok1 := number2(s, 0)
	b, ok2 := number2(s, 2)
	return a*100 + b, ok1 && ok2
}

// daysIn is the length of a month.
func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// daysSince1970 counts days in the proleptic Gregorian calendar. Years begin
// in March here, so that the leap day is the last of its year.
func daysSince1970(year, month, day int) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	era := year / 400
	ofEra := year - era*400
	ofYear := (153*(month-3)+2)/5 + day - 1
	return int64(era*146097+ofEra*365+ofEra/4-ofEra/100+ofYear) - 719468
}
