package search

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"vitrine/als"
)

// hill scores highest at lambda .02, unobserved 10 and frequency power .4.
func hill(tried *int) func(context.Context, als.Options, *Trial) (Trial, error) {
	return func(_ context.Context, o als.Options, _ *Trial) (Trial, error) {
		*tried++
		far := math.Pow(math.Log(o.Lambda/.02), 2) + math.Pow(math.Log(o.Unobserved/10), 2) + 4*math.Pow(*o.FrequencyPower-.4, 2)
		return Trial{Sweeps: 5, Score: math.Exp(-far / 4)}, nil
	}
}

func TestSearchClimbs(t *testing.T) {
	tried := 0
	trials, best, err := Run(t.Context(), Search{Budget: 60, Start: als.Options{}.WithDefaults(), Try: hill(&tried)})
	if err != nil || tried != 60 || len(trials) != 60 {
		t.Fatalf("%d tried, %v", tried, err)
	}
	if trials[0].Setting != Of(als.Options{}) || trials[0].Score > .4 || best.Score < .85 {
		t.Errorf("from %+v to %+v", trials[0], best)
	}
	fixed := Search{Budget: 30, Start: als.Options{Lambda: .3}.WithDefaults(), Fixed: true, Try: hill(&tried)}
	if trials, _, _ = Run(t.Context(), fixed); trials[29].Lambda != .3 {
		t.Errorf("the fixed lambda became %v", trials[29].Lambda)
	}
}

// TestSearchGoesOn: what a cut-off search had tried is not tried again, and the
// end is the same as without the cut.
func TestSearchGoesOn(t *testing.T) {
	tried := 0
	whole := Search{Budget: 12, Start: als.Options{}.WithDefaults(), Subject: "a", Interactions: 100, Try: hill(&tried)}
	want, _, err := Run(t.Context(), whole)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "models", "trials.json")
	cut := whole
	cut.Path = path
	cut.Try = func(ctx context.Context, o als.Options, best *Trial) (Trial, error) {
		if tried == 12+5 {
			return Trial{}, context.Canceled
		}
		return whole.Try(ctx, o, best)
	}
	if _, _, err := Run(t.Context(), cut); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	cut.Try, cut.Interactions = whole.Try, 190
	got, _, err := Run(t.Context(), cut)
	if err != nil || tried != 12+12 {
		t.Errorf("%d tried, %v", tried, err)
	}
	for n := range got {
		got[n].Seconds, want[n].Seconds = 0, 0
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("cut\n%+v\nwhole\n%+v", got, want)
	}
	// Done is done, until there is twice as much data, or another subject.
	if _, _, err := Run(t.Context(), cut); err != nil || tried != 24 {
		t.Errorf("%d tried, %v", tried, err)
	}
	more := cut
	more.Interactions = 201
	again, _, err := Run(t.Context(), more)
	if err != nil || tried != 36 || again[1].Setting != bestOf(want).Setting {
		t.Errorf("%d tried, %v; second %+v", tried, err, again[1])
	}
	other := cut
	other.Subject = "b"
	if _, _, err := Run(t.Context(), other); err != nil || tried != 48 {
		t.Errorf("%d tried, %v", tried, err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Run(t.Context(), other); err != nil || tried != 60 {
		t.Errorf("after damage %d tried, %v", tried, err)
	}
}

func TestSettingsOfEveryLoss(t *testing.T) {
	for _, o := range []als.Options{{}, {Loss: als.LossExplicit}, {Loss: als.LossExplicit, Biases: true}} {
		o = o.WithDefaults()
		s := Search{Budget: 9, Start: o}
		for n := range 9 {
			setting := s.propose(n, &Trial{Setting: Of(o)})
			if got := Of(setting.Apply(o)); got != setting {
				t.Errorf("%+v applied is %+v", setting, got)
			}
			if n > 0 && setting == Of(o) {
				t.Errorf("setting %d is the start", n)
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"version":1,"interactions":3,"trials":[{"lambda":0.1,"sweeps":3,"score":0.5}]}`))
	f.Add([]byte(`{"version":1,"trials":[{"lambda":-1}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := decode(text)
		if err != nil {
			return
		}
		for _, trial := range l.Trials {
			if o := trial.Apply(als.Options{}); !(o.Lambda > 0) || o.Unobserved < 0 || trial.Sweeps < 1 {
				t.Errorf("taken: %+v", trial)
			}
		}
	})
}
