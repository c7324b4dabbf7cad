// Package search tries settings of a training within a budget, and keeps a log
// of the trials, so that a search that was cut off goes on where it was.
//
// It owns what is searched, how the next setting is proposed, and the log. It
// may import als, for its options; it must not know data, metrics or how a
// setting is tried: that is a function.
package search

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"vitrine/als"
)

// Setting is one point of the search; a field that is 0 is not of it.
type Setting struct {
	Lambda         float64 `json:"lambda"`
	Unobserved     float64 `json:"unobserved,omitempty"`
	FrequencyPower float64 `json:"frequency_power,omitempty"`
	Nu             float64 `json:"nu,omitempty"`
	BiasLambda     float64 `json:"bias_lambda,omitempty"`
}

// Of is the setting that options have, without defaults left out.
func Of(o als.Options) Setting {
	o = o.WithDefaults()
	s := Setting{Lambda: o.Lambda}
	switch {
	case o.Loss == als.LossImplicit:
		s.Unobserved, s.FrequencyPower = o.Unobserved, *o.FrequencyPower
	case o.Biases:
		s.Nu, s.BiasLambda = *o.Nu, o.BiasLambda
	}
	return s
}

// Apply returns the options with the setting in them.
func (s Setting) Apply(o als.Options) als.Options {
	o.Lambda = s.Lambda
	switch {
	case o.Loss != als.LossExplicit:
		o.Unobserved, o.FrequencyPower = s.Unobserved, &s.FrequencyPower
	case o.Biases:
		o.Nu, o.BiasLambda = &s.Nu, s.BiasLambda
	}
	return o
}

// Trial is a setting that was tried.
type Trial struct {
	Setting
	// Sweeps is how many iterations reached Score, which is more the better.
	Sweeps int     `json:"sweeps"`
	Score  float64 `json:"score"`
	// Early is the score after the first few iterations; a trial that is far
	// behind the best there is not gone on with.
	Early float64 `json:"early"`
	// Overtrains tells that further sweeps made it clearly worse.
	Overtrains bool    `json:"overtrains,omitempty"`
	Seconds    float64 `json:"seconds"`
}

// log is the file of a search.
type log struct {
	Version int `json:"version"`
	// Subject is what the search is of: with another one it begins anew.
	Subject string `json:"subject"`
	// Interactions is how much data there was when it began.
	Interactions int     `json:"interactions"`
	Trials       []Trial `json:"trials"`
}

const logVersion = 1

// maxLog bounds the file: a thousand trials have a fifth of it.
const maxLog = 1 << 20

// Search is a search to be made.
type Search struct {
	// Path is the log, "" for none.
	Path string
	// Subject names everything that scores depend on but the setting and the
	// amount of data.
	Subject string
	// Interactions is how much data there is. What was found is taken until
	// there is twice as much as when the search began.
	Interactions int
	// Budget is the number of trials.
	Budget int
	// Start is the first setting tried; the others lie around it.
	Start als.Options
	// Fixed keeps Lambda as it is in Start.
	Fixed bool
	// Try trains and judges. best is the best trial so far, nil before one.
	Try func(ctx context.Context, opt als.Options, best *Trial) (Trial, error)
	// Progress, when set, is told the number of trials made.
	Progress func(done int)
}

// growth is how many times as much data makes a search begin anew.
const growth = 2

// Run goes on with the search that the log tells of, or begins one, and returns
// all trials and the best of them. A cancelled search returns ctx.Err(); what
// was tried is in the log.
func Run(ctx context.Context, s Search) (trials []Trial, best Trial, err error) {
	l, carried := s.read()
	for n := len(l.Trials); n < s.Budget; n++ {
		if s.Progress != nil {
			s.Progress(n)
		}
		top := bestOf(l.Trials)
		setting := s.propose(n, top)
		if n == 1 && carried != nil {
			setting = *carried
		}
		start := time.Now()
		trial, err := s.Try(ctx, setting.Apply(s.Start), top)
		if err != nil {
			return nil, Trial{}, err
		}
		trial.Setting, trial.Seconds = setting, time.Since(start).Seconds()
		l.Trials = append(l.Trials, trial)
		if err := s.write(l); err != nil {
			return nil, Trial{}, err
		}
	}
	return l.Trials, *bestOf(l.Trials), nil
}

// bestOf is the trial with the highest score, the first of equals.
func bestOf(trials []Trial) *Trial {
	var best *Trial
	for n := range trials {
		if best == nil || trials[n].Score > best.Score {
			best = &trials[n]
		}
	}
	return best
}

// How far from the start, as a factor to each side, the first settings are
// drawn, and how far from the best the others.
const (
	wide   = 8.0
	narrow = 2.0
	// exploring is the share of the budget that is drawn wide.
	exploring = 0.6
)

// propose is setting number n. It depends on the numbers and the trials before
// alone, so that a search that is gone on with takes the same way.
func (s *Search) propose(n int, best *Trial) Setting {
	start := Of(s.Start)
	if n == 0 || best == nil {
		return start
	}
	center, reach := start, wide
	if float64(n) >= exploring*float64(s.Budget) {
		center, reach = best.Setting, narrow
	}
	random := rand.New(rand.NewPCG(uint64(n), 0x7415))
	draw := func(v, lo, hi float64) float64 {
		if v == 0 {
			return 0
		}
		return min(max(v*math.Pow(reach, 2*random.Float64()-1), lo), hi)
	}
	out := Setting{
		Lambda: draw(center.Lambda, 1e-5, 100), Unobserved: draw(center.Unobserved, .1, 1e4), BiasLambda: draw(center.BiasLambda, 1e-3, 1e3),
	}
	shift := func(v, by, hi float64) float64 {
		return math.Round(100*min(max(v+by*math.Log2(reach)*(2*random.Float64()-1), 0), hi)) / 100
	}
	if s.Start.Loss != als.LossExplicit {
		out.FrequencyPower = shift(center.FrequencyPower, .2, 1)
	} else if s.Start.Biases {
		out.Nu = shift(center.Nu, .15, 1.5)
	}
	if s.Fixed {
		out.Lambda = start.Lambda
	}
	return out
}

// read opens the log. Of a search that is not gone on with it returns the best
// setting, to be tried again.
func (s *Search) read() (l *log, carried *Setting) {
	fresh := &log{Version: logVersion, Subject: s.Subject, Interactions: s.Interactions}
	if s.Path == "" {
		return fresh, nil
	}
	info, err := os.Stat(s.Path)
	if err != nil || info.Size() > maxLog {
		return fresh, nil
	}
	text, err := os.ReadFile(s.Path)
	if err != nil {
		return fresh, nil
	}
	old, err := decode(text)
	switch {
	case err != nil || old.Subject != s.Subject:
		return fresh, nil
	case s.Interactions > growth*old.Interactions:
		if best := bestOf(old.Trials); best != nil {
			carried = &best.Setting
		}
		return fresh, carried
	}
	return old, nil
}

// errLog reports a log that is none.
var errLog = errors.New("no log of a search")

// decode reads a log; one with a setting that nothing could be trained with is
// none.
func decode(text []byte) (*log, error) {
	var l log
	if err := json.Unmarshal(text, &l); err != nil {
		return nil, err
	}
	if l.Version != logVersion || l.Interactions < 0 {
		return nil, errLog
	}
	for _, t := range l.Trials {
		for _, v := range []float64{t.Lambda, t.Unobserved, t.FrequencyPower, t.Nu, t.BiasLambda} {
			if v < 0 || v > 1e6 {
				return nil, errLog
			}
		}
		if t.Lambda == 0 || t.Sweeps < 1 || t.Sweeps > 1000 {
			return nil, errLog
		}
	}
	return &l, nil
}

// write replaces the log by one rename.
func (s *Search) write(l *log) error {
	if s.Path == "" {
		return nil
	}
	text, err := json.MarshalIndent(l, "", " ")
	if err != nil {
		return fmt.Errorf("write the log of trials: %w", err)
	}
	tmp := s.Path + ".tmp"
	if err := os.MkdirAll(filepath.Dir(s.Path), 0o750); err != nil {
		return fmt.Errorf("write the log of trials: %w", err)
	}
	if err := errors.Join(os.WriteFile(tmp, text, fs.FileMode(0o640)), os.Rename(tmp, s.Path)); err != nil {
		return fmt.Errorf("write the log of trials: %w", err)
	}
	return nil
}
