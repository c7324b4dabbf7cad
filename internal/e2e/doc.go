// Package e2e holds the end-to-end tests: they build the real binary, start it
// as an operator would, and look at what a user sees.
//
// It owns no product code. Its tests may import anything.
package e2e
