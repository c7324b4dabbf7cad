// Package admit bounds the work that requests may cause: how often each caller
// may come, how many requests are worked on at a time, and how many bytes of
// bodies are held.
//
// It counts; what is answered instead of the work is the caller's. It imports
// nothing of this module.
package admit
