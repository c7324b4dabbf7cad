// Package abi holds the names, numbers and record layout that the host and
// every plugin share: ABI 0.
//
// It is a leaf and imports nothing, so that host and guests can both use it.
package abi

// Version is what vitrine_abi returns.
const Version = 0
