// Package docs keeps the written documentation true: its tests compare the
// file map and the import table of docs/DESIGN.md with the code, and look up
// every link, path and configuration key that README.md and docs name.
//
// It owns no product code and no text. Its tests may import anything.
package docs
