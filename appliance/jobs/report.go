package jobs

import (
	"vitrine/appliance/httpapi/adminapi"
	"vitrine/appliance/models"
	"vitrine/appliance/trainer"
	"vitrine/appliance/trainer/offline"
)

// trainReport is a result in the API's terms.
func trainReport(r *trainer.Result) *adminapi.TrainReport {
	report := &adminapi.TrainReport{
		Users: r.Users, Items: r.Items, Interactions: r.Interactions, Seconds: r.Seconds,
		Options: r.Options.ByKey(), Start: r.Start,
	}
	report.Options["evaluated_users"] = r.EvaluatedUsers
	for n, t := range r.Trials {
		report.Trials = append(report.Trials, adminapi.Trial{
			Number: n + 1, Regularization: t.Lambda, Unobserved: t.Unobserved, FrequencyPower: t.FrequencyPower,
			Nu: t.Nu, BiasRegularization: t.BiasLambda, Sweeps: t.Sweeps, Score: t.Score, Seconds: t.Seconds,
		})
	}
	for _, m := range models.Metrics(r.Metrics, r.Gate.Passed) {
		switch trainer.Rival(m.Name) {
		case trainer.Popularity:
			report.Difference = &m
		case trainer.Live:
			report.DifferenceLive = &m
		default:
			report.Models = append(report.Models, m)
		}
	}
	return report
}

// evaluationReport is a result in the API's terms.
func evaluationReport(r *offline.Result) *adminapi.TrainReport {
	report := &adminapi.TrainReport{
		Users: r.Users, Items: r.Items, Interactions: r.Interactions, Seconds: r.Seconds,
		Models: []adminapi.ModelMetrics{}, Options: r.Options,
	}
	for _, m := range r.Models {
		report.Models = append(report.Models, *evaluatedModel(&m))
	}
	if r.Difference != nil {
		report.Difference = evaluatedModel(r.Difference)
	}
	return report
}

func evaluatedModel(m *offline.Model) *adminapi.ModelMetrics {
	out := &adminapi.ModelMetrics{Name: m.Name, Published: m.Published, Metrics: m.Metrics, Interval: intervals(m.Interval)}
	for name, of := range m.Slices {
		if out.Slices == nil {
			out.Slices = map[string]adminapi.MetricsSlice{}
		}
		out.Slices[name] = adminapi.MetricsSlice{Users: of.Users, Metrics: of.Metrics, Interval: intervals(of.Interval)}
	}
	return out
}

func intervals(all map[string][2]float64) map[string][]float64 {
	out := make(map[string][]float64, len(all))
	for name, i := range all {
		out[name] = i[:]
	}
	return out
}
