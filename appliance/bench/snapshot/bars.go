package snapshot

import (
	"slices"
	"strings"

	"vitrine/appliance/bench/report"
)

// NotJudged says which bars Unsized takes away.
const NotJudged = "not judged, for their bars are those of generated data of a given size: what the parts retrieve and train cost, serve's p99 within 10 ms and its rates beside a hello-world, times beside events and a training, and the time to recover"

// Sized tells whether a figure's bar presupposes generated data of a given size.
func Sized(name string) bool {
	part, _, _ := strings.Cut(name, ".")
	what := name[strings.LastIndexByte(name, '.')+1:]
	switch part {
	case "serve":
		return slices.Contains([]string{"p99", "p99_9", "to_hello", "cpu_to_hello"}, what)
	case "train":
		return true
	case "retrieve":
		return what != "mismatches"
	case "recover":
		return what == "live"
	}
	return false
}

// Unsized takes the bars away that do not hold for an archive of any size.
func Unsized(figures []report.Figure) []report.Figure {
	for i := range figures {
		if Sized(figures[i].Name) {
			figures[i].Bar, figures[i].Met = nil, nil
		}
	}
	return figures
}

// Unfit is an archive that is whole, but that a part cannot be measured with.
type Unfit struct {
	Err error
	// Do says what to do about it.
	Do string
}

// Error is that of Err.
func (u *Unfit) Error() string { return u.Err.Error() }

// Unwrap is Err.
func (u *Unfit) Unwrap() error { return u.Err }

// Hint is Do.
func (u *Unfit) Hint() string { return u.Do }
