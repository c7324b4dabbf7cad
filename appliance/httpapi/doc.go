// Package httpapi is the HTTP face of the appliance: the OpenAPI document, the
// servers generated from it, and the handlers behind them on three listeners
// (API, admin, and the admin socket).
//
// It owns what callers see: paths, parameters, limits, problem documents,
// headers and the JSON of answers. What the answers are made of comes through
// the small interfaces in deps.go, which the composition root fills; so it
// imports nothing of this module but the canonical records (bridge/event) and
// its own generated sub-packages. The web framework stays in this tree.
package httpapi

import _ "embed" // for the document

// The JSON form is what is served; making it at build time keeps a YAML
// library out of the binary. The test compares it with the YAML, and writes it
// when told to.
//
//go:generate go test -run TestDocumentJSON -update .
//go:embed openapi.json
var document []byte
