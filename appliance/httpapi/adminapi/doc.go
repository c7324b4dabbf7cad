// Package adminapi is the server side of the admin routes, generated from the
// OpenAPI document: parameters, bodies and the interface that httpapi
// implements. It owns no behaviour and imports nothing of this module.
package adminapi

//go:generate go tool -modfile=../../../tools.mod oapi-codegen --config config.yaml ../openapi.yaml
