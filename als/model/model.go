// Package model holds the immutable factor model, its fold-in and its file
// format.
//
// It owns what a trained model is, readable without the trainer, so that
// serving links no training code, and the section container that models and
// bundles are stored in (container.go, format.go). It may import
// als/internal/f32, als/internal/solve and als/dataset; it knows dense rows,
// never ids.
//
// # Fold-in
//
// A user's vector w follows from the items' factors v_i, their scales f_i and
// the user's own weights c_i (Hu, Koren and Volinsky 2008):
//
//	w = (sum_obs c_i f_i v_i v_i^T + alpha0 sum_i f_i v_i v_i^T + r I)^-1 sum_obs c_i f_i v_i
//	r = lambda (sum_obs c_i f_i + alpha0 sum_i f_i)^nu
//
// and in an explicit model, with n ratings r_i, from those alone:
//
//	w = (sum_obs v_i v_i^T + lambda n^nu I)^-1 sum_obs r_i v_i
//
// where with biases v_i has another factor, 1, whose partner is the user's
// bias, and r_i is measured from the mean and the item's bias.
package model

import "vitrine/als/internal/f32"

// Params are the loss parameters that fold-in must share with training.
type Params struct {
	// Explicit tells that the weights of the training data were ratings, and
	// that the factors reproduce them; otherwise they rank.
	Explicit bool `json:"explicit,omitempty"`
	// Biases tells that an explicit model has biases: the last two columns of
	// the factors are then the user's bias and the item's. A user's row holds 1
	// in the latter, an item's row in the former, so that the inner product of
	// two rows is the rating without Mean, and ranks a user's items as ratings
	// do.
	Biases bool `json:"biases,omitempty"`
	// Mean is added to every rating that a model with biases predicts.
	Mean float32 `json:"mean,omitempty"`
	// Alpha0 is the weight of every unobserved cell; 0 when Explicit.
	Alpha0 float32 `json:"alpha0"`
	// Lambda is the L2 regularization.
	Lambda float32 `json:"lambda"`
	// Nu is the power of a row's mass, or number of ratings, that scales
	// Lambda (Rendle et al. 2021; Zhou et al. 2008 with 1).
	Nu float32 `json:"nu"`
	// BiasLambda is the L2 regularization of the biases.
	BiasLambda float32 `json:"bias_lambda,omitempty"`
	// FrequencyPower p scales column j of either side by (n_j / mean n)^-p.
	FrequencyPower float32 `json:"frequency_power"`
}

// Model is a trained factor model. It is never changed after it was built.
type Model struct {
	// Rank is the length of a row: the number of factors, and two more with
	// Params.Biases.
	Rank int
	// NumUsers and NumItems are the row counts.
	NumUsers, NumItems int
	// Users is NumUsers x Rank, row-major.
	Users []float32
	// Items is NumItems x Rank, row-major.
	Items []float32
	// ItemScale has NumItems entries: the factor f_i by which observed and
	// unobserved weights of item i are multiplied in the user half-step; in an
	// explicit model 1. It is 0 for an item without training data.
	ItemScale []float32
	Params    Params
}

// Score is the inner product of a user's and an item's row: what ranks the
// user's items and, plus Params.Mean, the rating of an explicit model.
func (m *Model) Score(user, item int) float32 {
	return f32.Dot(m.Users[user*m.Rank:(user+1)*m.Rank], m.Items[item*m.Rank:(item+1)*m.Rank])
}

// UserBias is a user's bias, 0 without Params.Biases.
func (m *Model) UserBias(user int) float32 { return m.bias(m.Users, user, 2) }

// ItemBias is an item's bias, 0 without Params.Biases.
func (m *Model) ItemBias(item int) float32 { return m.bias(m.Items, item, 1) }

func (m *Model) bias(rows []float32, row, fromEnd int) float32 {
	if !m.Params.Biases {
		return 0
	}
	return rows[(row+1)*m.Rank-fromEnd]
}
