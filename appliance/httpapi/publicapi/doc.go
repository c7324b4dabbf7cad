// Package publicapi is the server side of the public and health routes,
// generated from the OpenAPI document: parameters, bodies and the interface
// that httpapi implements. It owns no behaviour and imports nothing of this
// module.
package publicapi

//go:generate go tool -modfile=../../../tools.mod oapi-codegen --config config.yaml ../openapi.yaml
