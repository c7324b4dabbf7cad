// Package quality holds the table of ranking quality: the model library on
// public data sets, by the protocols of the published tables.
//
// It owns the protocols, the bars and how settings are chosen: on a validation
// part of the training data only, which the output names. It has tests alone
// and may import anything. The data is not part of the repository; it lies in
// ../shared/data beside it, or in the folder that VITRINE_QUALITY_DATA names.
// Every folder in there that has one of these layouts is run (plain or .xz):
//
//	train.txt, test.txt          "user item item ..." per line: a given split
//	NAME.train.txt, NAME.test.txt   sessions in time order; the last item of a
//	                             test line is the target
//	NAME.txt                     "user item item ...", oldest first: leave one out
//	u.data                       "user item rating time" by tabs: ratings, five folds
//
// go test runs a small slice with the settings that were found; with
// VITRINE_QUALITY=full settings are chosen anew and the whole table is
// printed, the rule of als.Suggest beside a search included; VITRINE_QUALITY=rule
// runs that alone. VITRINE_QUALITY_ONLY names the folders to run, by commas.
package quality
