package gate

import "testing"

// TestVerdict: one failure decides and is named first; chance and notes decide
// nothing.
func TestVerdict(t *testing.T) {
	better := Comparison{"NDCG@10", .2, .1, .05, .15}
	chance := Comparison{"NDCG@10", .09, .1, -.03, .001}
	worse := Comparison{"NDCG@10", .08, .1, -.03, -.01}
	for _, c := range []struct {
		of     []Comparison
		passed bool
		reason string
	}{
		{nil, true, "as was said; over 7 users"},
		{[]Comparison{better}, true, "better than a: NDCG@10 0.2000 against 0.1000 (95 % interval of the difference +0.0500 to +0.1500); as was said; over 7 users"},
		{[]Comparison{chance}, true, "as good as a: NDCG@10 0.0900 against 0.1000 (95 % interval of the difference -0.0300 to +0.0010); as was said; over 7 users"},
		{[]Comparison{better, worse}, false, "worse than b: NDCG@10 0.0800 against 0.1000 (95 % interval of the difference -0.0300 to -0.0100); " +
			"better than a: NDCG@10 0.2000 against 0.1000 (95 % interval of the difference +0.0500 to +0.1500); as was said; over 7 users"},
	} {
		var v Verdict
		for n, comparison := range c.of {
			v.Add(string(rune('a'+n)), comparison)
		}
		v.Note("as was %s", "said")
		if got := v.Conclude(7); got.Passed != c.passed || got.Reason != c.reason {
			t.Errorf("%+v: %+v", c.of, got)
		}
	}
}
