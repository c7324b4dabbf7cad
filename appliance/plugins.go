package appliance

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"

	"vitrine/appliance/httpapi"
	"vitrine/appliance/httpapi/adminapi"
	"vitrine/appliance/pluginhost"
)

// plugins lets the HTTP layer speak to the plugin host.
type plugins struct{ host *pluginhost.Host }

func (p plugins) List() []adminapi.Plugin {
	out := []adminapi.Plugin{}
	for _, info := range p.host.List() {
		out = append(out, pluginOf(info))
	}
	return out
}

func pluginOf(info pluginhost.Info) adminapi.Plugin {
	out := adminapi.Plugin{
		Name: info.Name, File: info.File, Version: info.Version, Summary: info.Summary,
		State: adminapi.PluginState(info.State), Reason: info.Reason, Sha256: info.SHA256, Kinds: info.Kinds,
	}
	if info.Serving != info.SHA256 {
		out.Serving = info.Serving
	}
	return out
}

func (p plugins) Install(ctx context.Context, in adminapi.PluginInstall) (adminapi.Plugin, error) {
	var toml []byte
	if in.Toml != "" {
		toml = []byte(in.Toml)
	}
	info, err := p.host.Install(ctx, in.Name, in.Wasm, toml)
	return pluginOf(info), pluginProblem(err)
}

func (p plugins) SetEnabled(ctx context.Context, name string, enabled bool) (adminapi.Plugin, error) {
	change := p.host.Disable
	if enabled {
		change = p.host.Enable
	}
	info, err := change(ctx, name)
	return pluginOf(info), pluginProblem(err)
}

func (p plugins) Remove(ctx context.Context, name string) error {
	return pluginProblem(p.host.Remove(ctx, name))
}

// pluginProblem is what the host refuses in the API's terms: what is wrong with
// a module or its settings is the caller's to know, a folder that cannot be
// read or written is the server's fault.
func pluginProblem(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &path), errors.As(err, &link):
		return err
	case errors.Is(err, pluginhost.ErrUnknown):
		return &httpapi.Problem{Status: http.StatusNotFound, Code: "unknown_plugin", Detail: err.Error(), Hint: "vitrine plugin list shows them"}
	}
	return &httpapi.Problem{Status: http.StatusUnprocessableEntity, Code: "plugin_refused", Detail: err.Error(), Hint: "vitrine plugin inspect FILE checks a module; NAME.toml beside it has its settings"}
}
