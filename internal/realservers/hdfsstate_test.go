package realservers

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestNameNodeTells asks a server that tells what a NameNode does of itself.
func TestNameNodeTells(t *testing.T) {
	beans := map[string]string{
		"Hadoop:service=NameNode,name=FSNamesystemState": `{"name":"x","FSState":"Operational","NumLiveDataNodes":3}`,
		"Hadoop:service=NameNode,name=NameNodeStatus":    `{"name":"x","State":"standby"}`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, `{"beans":[%s]}`, beans[r.URL.Query().Get("qry")])
	}))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	if got, err := stateOf(address); err != nil || got != (state{Live: 3, State: "Operational"}) {
		t.Errorf("the cluster is %+v, %v", got, err)
	}
	for _, want := range []string{"standby", "active"} {
		if ok, now := isIn(want, address); ok != (want == "standby") || now != "standby" {
			t.Errorf("the namenode is %s: %v, %q", want, ok, now)
		}
	}
	clear(beans)
	if ok, now := isIn("", address); ok || !strings.Contains(now, "does not tell") {
		t.Errorf("who tells nothing: %v, %q", ok, now)
	}
}
