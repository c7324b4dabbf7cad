// Package archtest keeps the house in order: its tests parse every Go file of
// the module and fail on an import that the rules do not allow, and on a file,
// function, signature or package that is over the size budget.
//
// It owns the rules table. It imports nothing of this module.
package archtest
