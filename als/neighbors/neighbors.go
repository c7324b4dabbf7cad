// Package neighbors holds the candidate sources that stand beside the factor
// model: item-to-item tables, transitions, session neighbours, lists
// that are the same for everybody, EASE, and the blend of all of them.
//
// It owns how each is counted, stored and asked; what each weighs is chosen by
// package tuning. It may import als/dataset, als/model, als/topk,
// als/internal/cores, als/internal/f32 and als/internal/keys; it knows dense rows,
// never ids, events, configuration or files.
//
// # Building
//
// Every source is built on all cores, gives the same bits for any number of
// workers, and keeps a bounded number of entries per item. Cancelled work
// returns ctx.Err().
//
//	Similar      item-to-item from the users x items matrix: cosine or P(j|i)
//	Transitions  what follows what in ordered histories, by 1/distance
//	NewSessions  the sessions themselves, for neighbours by recency and overlap
//	popularity   what is popular, and what rises against its own past
//	EASE         the linear autoencoder, catalogues of some thousand items
//
// What is built are flat slices (Table, Sessions, Ranked): the documentation of
// each type says which, so that they can be stored as sections and used where
// they lie. Slices that come from a disk are tested once by Check.
//
// # Asking
//
// A Source adds its scores for a history to a Scores, a Blend mixes several
// sources and the factor model. Nothing allocates once the working memory has
// grown:
//
//	blend := neighbors.Blend{Sources: []neighbors.Weighted{{Source: &lookup, Weight: 1}}}
//	hits := blend.Rank(neighbors.Query{History: history, K: 20}, hits, &scratch)
//
// # Sources
//
// Transitions and the session method follow Ludewig, Mauro, Latifi and Jannach
// (2019, 2020) and Garg et al., "Sequence and Time Aware Neighborhood for
// Session-based Recommendations" (2019), EASE is Steck, "Embarrassingly
// Shallow Autoencoders for Sparse Data" (2019).
package neighbors

import "vitrine/als/topk"

// DefaultTop is how many neighbours of an item a table keeps.
const DefaultTop = 200

// Source is something that scores items for a history of item rows, oldest
// first. Rows that the source does not know are passed over.
type Source interface {
	// Score adds the source's scores to out, which it does not clear.
	Score(history []uint32, out *Scores, s *Scratch)
}

// Scratch is the working memory of one query at a time. Its zero value is
// ready; it grows to what the sources need and is then reused.
type Scratch struct {
	part, sum Scores
	lanes     lanes
	sessions  sessionScratch
	search    topk.Scratch
	hidden    topk.Mask
	hits      []topk.Hit
	named     named
	best      []uint64  // keys
	rows      []uint32  // candidates that the factor model is asked about
	sums      []float32 // what the sources say of them
	dots      []float32 // what it says
}
