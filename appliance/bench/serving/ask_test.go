package serving

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestExpectIsPatient: a shop that turns a request away at first, or has no live
// list yet, is asked again; other faults end the measurement.
func TestExpectIsPatient(t *testing.T) {
	asked := 0
	status := http.StatusServiceUnavailable
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked <= 2 {
			w.WriteHeader(status)
			return
		}
		fmt.Fprintf(w, `{"items":[%s],"source":"live","model":{}}`, strings.Repeat(`{"item_id":"i"},`, askedItems))
	}))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	want, err := Expect(t.Context(), address, []string{"/v1/recommend", "/v1/recommend"})
	if err != nil || asked != 3 || len(want) != 2 || strings.Contains(string(want[0]), "model") {
		t.Errorf("after %d requests: %v, %q", asked, err, want)
	}
	asked, status = 0, http.StatusBadRequest
	if _, err := Expect(t.Context(), address, []string{"/v1/recommend"}); err == nil || asked != 1 {
		t.Errorf("after %d requests: %v", asked, err)
	}
}
