package sandbox

import (
	"strings"
	"testing"

	"vitrine/appliance/frame"
)

// texts is a Columns that knows some texts.
type texts map[string]uint32

func (texts) Column(frame.Scope, string) frame.Column     { return nil }
func (t texts) Code(_ frame.Scope, _, text string) uint32 { return t[text] }

// A guest may ask for texts as long as its memory: what is remembered of that
// is bounded, and is given back once a text exists.
func TestQuestionsAreBounded(t *testing.T) {
	known := texts{}
	v := &Version{spec: Spec{Columns: known}}
	giant := strings.Repeat("x", maxQuestionBytes/4)
	for i := range 100 {
		for range 2 {
			if code := v.lookUp(question{frame.ItemScope, "brand", giant + strings.Repeat("y", i)}); code != 0 {
				t.Fatalf("code %d", code)
			}
		}
	}
	if len(v.questions) != 3 || v.questionBytes > maxQuestionBytes {
		t.Errorf("%d questions of %d bytes", len(v.questions), v.questionBytes)
	}
	for q := range v.questions {
		known[q.text] = 7
	}
	v.AskAgain()
	if len(v.questions) != 0 || v.questionBytes != 0 || v.answers.Load() != 1 {
		t.Errorf("%d questions of %d bytes, %d answers", len(v.questions), v.questionBytes, v.answers.Load())
	}
	for i := range 2 * maxQuestions {
		v.lookUp(question{frame.ItemScope, "brand", strings.Repeat("z", i%1024) + string(rune('a'+i/1024))})
	}
	if len(v.questions) > maxQuestions {
		t.Errorf("%d questions", len(v.questions))
	}
}
