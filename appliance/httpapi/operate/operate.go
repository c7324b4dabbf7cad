// Package operate answers the admin routes of what operators manage: jobs,
// model versions, plugins and API keys.
//
// It declares what it needs of the parts behind it. It imports the HTTP layer's
// wire, gate and generated server, and appliance/access.
package operate

import (
	"context"

	"vitrine/appliance/access"
	"vitrine/appliance/httpapi/adminapi"
	"vitrine/appliance/httpapi/gate"
)

// Jobs runs long work in the background, beyond the request that starts it. Job returns wire.ErrNotFound for an
// unknown id.
type Jobs interface {
	Start(ctx context.Context, req adminapi.JobRequest) (adminapi.Job, error)
	Job(id string) (adminapi.Job, error)
	// Jobs are those that are remembered, newest first.
	Jobs() []adminapi.Job
}

// Models lists the versions, newest first, and goes back by one.
type Models interface {
	List() ([]adminapi.Model, error)
	Rollback(ctx context.Context) (adminapi.Model, error)
}

// Plugins manages the plugins folder. Names that are not there are wire.ErrNotFound.
// Install returns when the module ranks, or a *Problem that says why it does
// not.
type Plugins interface {
	List() []adminapi.Plugin
	Install(ctx context.Context, in adminapi.PluginInstall) (adminapi.Plugin, error)
	SetEnabled(ctx context.Context, name string, enabled bool) (adminapi.Plugin, error)
	Remove(ctx context.Context, name string) error
}

// Keys are the API keys. New and Revoke count at once.
type Keys interface {
	gate.Keys
	New(name string, scope access.Scope) (secret string, err error)
	List() []access.Key
	Revoke(name string) error
}

// Deps are the parts behind the routes; all are needed.
type Deps struct {
	Jobs    Jobs
	Models  Models
	Plugins Plugins
	Keys    Keys
}

// Routes are the handlers.
type Routes struct{ deps Deps }

// New makes them.
func New(deps Deps) *Routes { return &Routes{deps: deps} }
