package operate

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"vitrine/appliance/httpapi/adminapi"
	"vitrine/appliance/httpapi/wire"
)

// maxSet is the most settings of one evaluation.
const maxSet = 64

// StartJob is POST /v1/jobs.
func (r *Routes) StartJob(c echo.Context) error {
	if err := wire.OnlyParams(c); err != nil {
		return err
	}
	var body adminapi.JobRequest
	if err := wire.ReadJSON(c, &body); err != nil {
		return err
	}
	if err := checkJob(&body); err != nil {
		return err
	}
	job, err := r.deps.Jobs.Start(c.Request().Context(), body)
	if err != nil {
		return fmt.Errorf("start job: %w", err)
	}
	c.Response().Header().Set("Location", "/v1/jobs/"+url.PathEscape(job.ID))
	return wire.SendJSON(c, http.StatusAccepted, job)
}

// checkJob holds the body against the document's bounds, and refuses what
// would be without effect.
func checkJob(body *adminapi.JobRequest) error {
	switch {
	case !body.Kind.Valid():
		return wire.Refuse("invalid_kind", "kind must be train or eval, not %.64q", string(body.Kind))
	case body.Kind != adminapi.Eval && (body.K != 0 || len(body.Set) > 0 || body.Split != "" || body.Seen != "" || body.Mode != "" || body.EaseItems != 0):
		return wire.Refuse("invalid_job", "k, set, split, seen, mode and ease_items are for an evaluation; a training runs as it is configured")
	case body.K < 0 || body.K > wire.MaxLimit:
		return wire.Refuse("invalid_k", "k must be a whole number from 1 to %d", wire.MaxLimit)
	case len(body.Set) > maxSet:
		return wire.Refuse("invalid_set", "set has %d entries, the most is %d", len(body.Set), maxSet)
	}
	return nil
}

// GetJob is GET /v1/jobs/{id}.
func (r *Routes) GetJob(c echo.Context, id string) error {
	if err := wire.OnlyParams(c); err != nil {
		return err
	}
	job, err := r.deps.Jobs.Job(id)
	if errors.Is(err, wire.ErrNotFound) {
		return &wire.Problem{Status: http.StatusNotFound, Code: "unknown_job", Detail: fmt.Sprintf("there is no job %.64q", id)}
	}
	if err != nil {
		return fmt.Errorf("look up job: %w", err)
	}
	return wire.SendJSON(c, http.StatusOK, job)
}

// ListJobs is GET /v1/jobs.
func (r *Routes) ListJobs(c echo.Context) error {
	if err := wire.OnlyParams(c); err != nil {
		return err
	}
	list := adminapi.JobList{Jobs: []adminapi.Job{}}
	for _, job := range r.deps.Jobs.Jobs() {
		job.Report = nil
		list.Jobs = append(list.Jobs, job)
	}
	return wire.SendJSON(c, http.StatusOK, list)
}

// ListModels is GET /v1/models.
func (r *Routes) ListModels(c echo.Context) error {
	if err := wire.OnlyParams(c); err != nil {
		return err
	}
	models, err := r.deps.Models.List()
	if err != nil {
		return fmt.Errorf("list models: %w", err)
	}
	if models == nil {
		models = []adminapi.Model{}
	}
	for i := range models {
		filled(&models[i])
	}
	return wire.SendJSON(c, http.StatusOK, adminapi.ModelList{Models: models})
}

// GetModel is GET /v1/models/{version}.
func (r *Routes) GetModel(c echo.Context, version string) error {
	if err := wire.OnlyParams(c); err != nil {
		return err
	}
	models, err := r.deps.Models.List()
	if err != nil {
		return fmt.Errorf("look up model: %w", err)
	}
	for i := range models {
		if models[i].Version == version {
			filled(&models[i])
			return wire.SendJSON(c, http.StatusOK, models[i])
		}
	}
	return &wire.Problem{
		Status: http.StatusNotFound, Code: "unknown_model", Detail: fmt.Sprintf("there is no version %.64q", version),
		Hint: "vitrine model list shows the versions",
	}
}

// RollbackModel is POST /v1/models/rollback.
func (r *Routes) RollbackModel(c echo.Context) error {
	if err := wire.OnlyParams(c); err != nil {
		return err
	}
	model, err := r.deps.Models.Rollback(c.Request().Context())
	if errors.Is(err, wire.ErrNotFound) {
		return &wire.Problem{
			Status: http.StatusConflict, Code: "no_previous_model",
			Detail: "there is no version before the live one", Hint: "vitrine model list shows the versions",
		}
	}
	if err != nil {
		return fmt.Errorf("roll back model: %w", err)
	}
	filled(&model)
	return wire.SendJSON(c, http.StatusOK, model)
}

// filled makes an absent list an empty one, as the document promises.
func filled(m *adminapi.Model) {
	if m.Metrics == nil {
		m.Metrics = []adminapi.ModelMetrics{}
	}
}
