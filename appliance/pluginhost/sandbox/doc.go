// Package sandbox runs one WebAssembly module of a stranger within limits: it
// has the module compiled in a limited child process, keeps a pool of its
// instances, calls them on frames with a budget of fuel, checks what comes
// back, and leaves a module that keeps failing alone for a while.
//
// It owns the use of the WebAssembly engine and the host's side of the ABI. When
// a module is left alone, and for how long, says package breaker. It knows no
// folder of plugins and no other module: which modules there are, and in which
// order they rank, is the business of package pluginhost. It must not import that.
package sandbox

// Log keys of this package.
const (
	keyPlugin  = "plugin"
	keyStage   = "stage"
	keyText    = "text"
	keyDropped = "dropped"
	keyWait    = "wait"
)
