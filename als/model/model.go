// Package model holds the immutable factor model, its fold-in and its file
// format.
//
// It owns what a trained model is, readable without the trainer, so that
// serving links no training code, and the section container that models and
// bundles are stored in (container.go, format.go). It may import
// als/internal/f32, als/internal/solve and als/dataset; it knows dense rows,
// never ids.
package model

// Params are the loss parameters that fold-in must share with training.
type Params struct {
	// Alpha0 is the weight of every unobserved cell.
	Alpha0 float32 `json:"alpha0"`
	// Lambda is the L2 regularization.
	Lambda float32 `json:"lambda"`
	// Nu is the power of the frequency scaling of Lambda (Rendle et al. 2021).
	Nu float32 `json:"nu"`
	// FrequencyPower p scales column j of either side by (n_j / mean n)^-p.
	FrequencyPower float32 `json:"frequency_power"`
}

// Model is a trained factor model. It is never changed after it was built.
type Model struct {
	// Rank is the number of factors k.
	Rank int
	// NumUsers and NumItems are the row counts.
	NumUsers, NumItems int
	// Users is NumUsers x Rank, row-major.
	Users []float32
	// Items is NumItems x Rank, row-major.
	Items []float32
	// ItemScale has NumItems entries: the factor f_i by which observed and
	// unobserved weights of item i are multiplied in the user half-step.
	ItemScale []float32
	Params    Params
}
