// Package strftime turns the time formats of the C library into layouts of
// package time.
//
// It imports nothing of this module.
package strftime

import (
	"strings"
	"time"
)

// conversions maps the conversions of strftime to Go's layout.
var conversions = map[byte]string{
	'Y': "2006", 'y': "06", 'm': "01", 'd': "02", 'e': "_2", 'b': "Jan", 'h': "Jan", 'B': "January",
	'a': "Mon", 'A': "Monday", 'j': "002", 'H': "15", 'I': "03", 'p': "PM", 'M': "04", 'S': "05",
	'z': "-0700", 'Z': "MST", 'T': "15:04:05", 'F': "2006-01-02", 'R': "15:04", 'D': "01/02/06",
	'f': "999999999", '%': "%",
}

// Layout translates a format; one without % is a Go layout already. ok is false
// where it does not carry a whole date.
func Layout(format string) (layout string, ok bool) {
	layout, ok = translate(format)
	return layout, ok && keepsDate(layout)
}

func translate(format string) (string, bool) {
	if strings.IndexByte(format, '%') < 0 {
		return format, true
	}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		c := format[i]
		if c != '%' {
			if c >= '0' && c <= '9' {
				return "", false // a digit would mean something in Go's layout
			}
			b.WriteByte(c)
			continue
		}
		i++
		if i == len(format) || conversions[format[i]] == "" {
			return "", false
		}
		b.WriteString(conversions[format[i]])
	}
	return b.String(), true
}

// keepsDate tells whether a layout carries year, month and day: a date written
// and read back by it must come out the same.
func keepsDate(layout string) bool {
	want := time.Date(2017, 11, 23, 0, 0, 0, 0, time.UTC)
	got, err := time.Parse(layout, want.Format(layout))
	return err == nil && got.Year() == want.Year() && got.YearDay() == want.YearDay()
}
