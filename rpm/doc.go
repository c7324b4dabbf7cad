// Package rpm holds the package for yum and dnf: the spec, what it installs,
// and the scripts behind "make rpm", "make repo" and "make test-rpm".
//
// As Go code it is only the gates: tests that hold the unit against what
// systemd 219 knows, the scriptlets against the rules for them, and, where
// VITRINE_RPM names a built package, its header against what rpm 4.11 reads.
// It imports the standard library alone.
package rpm
