// Package plugins is the shelf of ready plugins. Each folder is a command that
// is built as WebAssembly ("make plugins") and dropped into the plugins folder
// of an appliance, beside its NAME.toml. They are written with vitrine/sdk and
// import nothing else; their tests run natively, and the test of this package
// looks at the built modules.
package plugins
