package metrics

import (
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"vitrine/appliance/httpapi"
	"vitrine/appliance/registry"
)

// TestCountedFromEverywhere: what many count at once is all there, also where
// a label is seen for the first time, and each route and code by itself.
func TestCountedFromEverywhere(t *testing.T) {
	const tellers, each = 8, 50
	m := New()
	var all sync.WaitGroup
	for range tellers {
		all.Go(func() {
			for range each {
				m.Request("/v1/recommend", 200, time.Millisecond)
				m.Request("/v1/recommend", 503, time.Millisecond)
				m.Listed("live", "")
				m.Ingested(httpapi.Ingested{Accepted: 2, Rejected: 1})
			}
		})
	}
	all.Wait()
	m.Trained(TrainingRefused)
	m.Published([]registry.Metric{
		{Model: "blend", Name: "ndcg@10", Value: 0.5},
		{Model: "blend-popularity", Name: "ndcg@10", Value: 0.25}, // a difference is no model
	}, 3)
	text := scraped(m)
	for _, want := range []string{
		`vitrine_http_requests_total{code="200",route="/v1/recommend"} 400`,
		`vitrine_http_requests_total{code="503",route="/v1/recommend"} 400`,
		`vitrine_http_request_duration_seconds_count{code="200",route="/v1/recommend"} 400`,
		`vitrine_answers_total{reason="",source="live"} 400`,
		`vitrine_ingest_records_total{result="accepted"} 800`,
		`vitrine_ingest_records_total{result="rejected"} 400`,
		`vitrine_trainings_total{result="failed"} 0`,
		`vitrine_trainings_total{result="refused"} 1`,
		`vitrine_train_duration_seconds 3`,
		`vitrine_train_ndcg_at_10{model="blend"} 0.5`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no line %s", want)
		}
	}
	if strings.Contains(text, "blend-popularity") {
		t.Error("a difference is told as the quality of a model")
	}
}

// scraped is what a scrape gives.
func scraped(m *Metrics) string {
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	return answer.Body.String()
}
