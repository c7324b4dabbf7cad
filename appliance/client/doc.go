// Package client talks to a running appliance, over TCP or over its admin
// socket, with the types generated from the OpenAPI document. The command
// line is built on it.
//
// It must not import any other package of this module, so that it can be
// taken into other programs as it is.
//
//	c := client.NewSocket("/var/lib/vitrine/admin.sock")
//	list, err := c.Recommend(ctx, client.RecommendRequest{UserID: "u1"})
package client

//go:generate go tool -modfile=../../tools.mod oapi-codegen --config config.yaml ../httpapi/openapi.yaml
