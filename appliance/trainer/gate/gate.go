// Package gate is the rule by which a new model may go live, and its words.
//
// It owns the verdict: which comparisons a model fails by. It may import
// registry, whose Gate it makes; it must not know models, metrics or data.
package gate

import (
	"fmt"
	"strings"

	"vitrine/appliance/registry"
)

// Verdict gathers what is said of each rival; the zero value is ready.
type Verdict struct {
	failed bool
	// reasons, what it fails by first.
	reasons []string
}

// Comparison is what one figure of two models says.
type Comparison struct {
	Metric       string
	Ours, Theirs float64
	// Lo and Hi bound the difference with 95 %; more is better.
	Lo, Hi float64
}

// Add takes in a comparison with a rival. A model fails that is worse by more
// than chance explains: when the whole interval lies below 0.
func (v *Verdict) Add(rival string, c Comparison) {
	word := "as good as"
	switch {
	case c.Hi < 0:
		word, v.failed = "worse than", true
	case c.Lo > 0:
		word = "better than"
	}
	text := fmt.Sprintf("%s %s: %s %.4f against %.4f (95 %% interval of the difference %+.4f to %+.4f)",
		word, rival, c.Metric, c.Ours, c.Theirs, c.Lo, c.Hi)
	if c.Hi < 0 {
		v.reasons = append([]string{text}, v.reasons...)
		return
	}
	v.reasons = append(v.reasons, text)
}

// Note adds what decides nothing.
func (v *Verdict) Note(format string, args ...any) {
	v.reasons = append(v.reasons, fmt.Sprintf(format, args...))
}

// Conclude is the verdict over so many users.
func (v *Verdict) Conclude(users int) registry.Gate {
	return registry.Gate{Passed: !v.failed, Reason: fmt.Sprintf("%s; over %d users", strings.Join(v.reasons, "; "), users)}
}
