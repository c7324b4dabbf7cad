// Package sandbox runs one WebAssembly module of a stranger within limits: it
// has the module compiled in a limited child process, keeps a pool of its
// instances, calls them on frames with a budget of fuel, checks what comes
// back, and takes a module that keeps failing out for a while.
//
// It owns the use of the WebAssembly engine and the host's side of the ABI. It
// knows no folder of plugins and no other module: which modules there are, and
// in which order they rank, is the business of package pluginhost. It must not
// import that.
package sandbox

// Log keys of this package.
const (
	keyPlugin  = "plugin"
	keyStage   = "stage"
	keyText    = "text"
	keyDropped = "dropped"
	keyWait    = "wait"
)
