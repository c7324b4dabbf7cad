// Package models speaks of model versions in the terms of the API: what there
// is, how good each was, and back to the one before.
//
// It may import the registry, the names of the trainer and the HTTP layer.
package models

import (
	"cmp"
	"context"
	"errors"
	"math"
	"net/http"
	"slices"

	"vitrine/appliance/httpapi"
	"vitrine/appliance/httpapi/adminapi"
	"vitrine/appliance/registry"
	"vitrine/appliance/trainer"
)

// Versions lets the HTTP layer speak to the registry.
type Versions struct{ Registry *registry.Registry }

// List describes all versions.
func (v Versions) List() ([]adminapi.Model, error) {
	out := []adminapi.Model{}
	for _, info := range v.Registry.List() {
		out = append(out, describe(info))
	}
	return out, nil
}

func describe(info registry.Info) adminapi.Model {
	return adminapi.Model{
		Version: info.Version, Parent: info.Parent, CreatedAt: info.Created, State: adminapi.ModelState(info.State), Bytes: info.Bytes,
		Users: info.Users, Items: info.Items, Interactions: info.Interactions, Position: info.Position,
		Reason: cmp.Or(info.Reason, info.Gate.Reason), Metrics: Metrics(info.Metrics, info.Gate.Passed),
		Options: info.Options, Seconds: info.Seconds,
	}
}

// Rollback makes the version before live again.
func (v Versions) Rollback(context.Context) (adminapi.Model, error) {
	b, err := v.Registry.Rollback()
	if errors.Is(err, registry.ErrNoPrevious) {
		return adminapi.Model{}, &httpapi.Problem{
			Status: http.StatusConflict, Code: "no_previous_model", Detail: err.Error(), Hint: "vitrine model list shows the versions; vitrine train makes a new one",
		}
	}
	if err != nil {
		return adminapi.Model{}, err
	}
	for _, info := range v.Registry.List() {
		if info.Version == b.Version {
			return describe(info), nil
		}
	}
	return adminapi.Model{}, httpapi.ErrNotFound
}

// Metrics groups metrics by the model they belong to.
func Metrics(all []registry.Metric, published bool) []adminapi.ModelMetrics {
	out := []adminapi.ModelMetrics{}
	index := map[string]int{}
	live := trainer.Factors
	if slices.ContainsFunc(all, func(m registry.Metric) bool { return m.Model == trainer.Blend }) {
		live = trainer.Blend
	}
	for _, m := range all {
		i, ok := index[m.Model]
		if !ok {
			i = len(out)
			index[m.Model] = i
			out = append(out, adminapi.ModelMetrics{
				Name: m.Model, Published: published && m.Model == live,
				Metrics: map[string]float64{}, Interval: map[string][]float64{},
			})
		}
		if math.IsNaN(m.Value) {
			continue // JSON has no NaN
		}
		out[i].Metrics[m.Name] = m.Value
		if !math.IsNaN(m.Lo) && !math.IsNaN(m.Hi) {
			out[i].Interval[m.Name] = []float64{m.Lo, m.Hi}
		}
	}
	return out
}
