// Package frame holds the types that every ranking stage speaks: a batch of
// candidate items with scores for one request.
//
// It is a leaf and imports nothing of this module, so that the request
// pipeline, the built-in stages and the plugin host need not know each other.
package frame

// NoUser is the User of a frame whose visitor has no code yet.
const NoUser = ^uint32(0)

// Frame is one request's candidates, column by column: element j of every
// slice belongs to candidate j.
type Frame struct {
	// Items are catalog codes.
	Items []uint32
	// Scores are the current scores; higher ranks first.
	Scores []float32
	// Mask is false for a candidate that a stage has dropped.
	Mask []bool
	// User is the catalog code of the visitor, or NoUser.
	User uint32
	// Now is the request time in Unix milliseconds.
	Now int64
	// Seed makes random choices of a stage repeatable.
	Seed uint64
}

// Reset empties the frame and keeps its memory.
func (f *Frame) Reset() {
	f.Items, f.Scores, f.Mask = f.Items[:0], f.Scores[:0], f.Mask[:0]
	f.User, f.Now, f.Seed = NoUser, 0, 0
}

// Add appends a candidate.
func (f *Frame) Add(item uint32, score float32) {
	f.Items = append(f.Items, item)
	f.Scores = append(f.Scores, score)
	f.Mask = append(f.Mask, true)
}

// Len is the number of candidates, dropped ones included.
func (f *Frame) Len() int { return len(f.Items) }
