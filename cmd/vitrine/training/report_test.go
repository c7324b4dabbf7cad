package training

import (
	"bytes"
	"strings"
	"testing"

	"vitrine/appliance/client"
	"vitrine/cmd/vitrine/cli"
)

// TestReportCanBeRead: figures with what they say, differences in per cent,
// ratings in front, and nothing of what was not measured.
func TestReportCanBeRead(t *testing.T) {
	var out bytes.Buffer
	a := app{&cli.App{Out: &out}}
	a.printReport(&client.TrainReport{
		Users: 4363, Items: 3676, Interactions: 404909, Start: "v1",
		Models: []client.ModelMetrics{
			{Name: "als", Metrics: map[string]float64{"ndcg@10": .09, "rmse": 1.5}, Interval: map[string][]float64{"ndcg@10": {.08, .1}}},
			{Name: "live", Metrics: map[string]float64{"ndcg@10": .1}},
			{Name: "popularity", Metrics: map[string]float64{"ndcg@10": .04}},
		},
		Difference:     &client.ModelMetrics{Name: "als-popularity", Metrics: map[string]float64{"ndcg@10": .05}, Interval: map[string][]float64{"ndcg@10": {.04, .06}}},
		DifferenceLive: &client.ModelMetrics{Name: "als-live", Metrics: map[string]float64{"ndcg@10": -.01}, Interval: map[string][]float64{"ndcg@10": {-.02, 0}}},
		Seconds:        map[string]float64{"fit": 1.234, "total": 2},
		Options: map[string]any{
			"train.loss": "implicit", "train.rank": 64., "train.regularization": .005, "unobserved": 48., "frequency_power": .1,
			"evaluated_users": 1048., "sweeps": 2., "refit_sweeps": 3.,
		},
	})
	for _, want := range []string{
		"4,363 users, 3,676 items, 404,909 interactions\nmeasured on what 1,048 of them did",
		"als                      live    popularity  als to popularity    als to live      what it says\n",
		"rmse     1.5000                   -       -           -                    -                how far off",
		"ndcg@10  0.0900 [0.0800, 0.1000]  0.1000  0.0400      +125 % [+100, +150]  -10 % [-20, +0]  how well the first 10 are ordered; 1 is perfect\n",
		"made with: implicit loss, rank 64, regularization 0.005, unobserved 48, frequency power 0.1\n2 sweeps (start: v1), then 3 over everything\nfit 1.23 s, total 2.00 s\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	out.Reset()
	a.printReport(&client.TrainReport{Users: 1})
	if out.String() != "1 users, 0 items, 0 interactions\n" {
		t.Errorf("nothing measured: %q", out.String())
	}
}

func TestReasonInBrief(t *testing.T) {
	for reason, want := range map[string]string{
		"better than a: X 1 against 2 (95 % +0 to +1); as good as b (c); over 7 users": "better than a: X 1 against 2; as good as b; over 7 users",
		"": "", "too little (data": "too little",
	} {
		if got := inBrief(reason); got != want {
			t.Errorf("%q in brief: %q", reason, got)
		}
	}
}
