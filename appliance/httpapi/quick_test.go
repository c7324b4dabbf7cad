package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"

	"vitrine/appliance/httpapi/publicapi"
)

// captured remembers the query that a request came to be.
type captured struct {
	*shop
	query string
}

func (c *captured) Recommend(ctx context.Context, q *Query, list *List) error {
	c.query = fmt.Sprintf("%+v", *q)
	return c.shop.Recommend(ctx, q, list)
}

// FuzzQuickEqualsGenerated: a list's query means what the code generated from
// the document takes it for, and is refused as that refuses it.
func FuzzQuickEqualsGenerated(f *testing.F) {
	for _, query := range []string{
		"", "user_id=u1", "user_id=u1&limit=5", "limit=5&user_id=u1&limit=6", "user_id=a%2Fb+c", "user_id=%zz", "user_id=", "user_id",
		"session=a&session=b&exclude=c&exclude=d%20e", "session=a,b", "session=", "session=[]", "session=[%22a%22,7]&exclude=p1,,p2", "user_id=u&exclude=,", "user_id=u&fields=title,x&fields=y", "user_id=u&limit=0x5",
		"user_id=u&limit=-1", "user_id=u&limit=+5", "user_id=u&limit=05", "user_id=u&limit=99999999999999999999", "user_id=u&limit=501",
		"user_id=u&exclude_seen=true&personalized=false", "user_id=u&exclude_seen=1", "user_id=u&personalized=yes", "personalized=false",
		"user_id=u&filter=price%20%3C%205&scene=home&after=r1&explain=items", "user_id=u&explain=x", "user_id=u&nonsense=1", "user_id=u&&limit=5",
		"user_id=u;limit=5", "user_id=u&LIMIT=5", "user%5Fid=u", "user_id=a=b", "=x", "&", "user_id=u&exclude_seen=true&exclude_seen=false", "user_id=%ff",
	} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		for _, path := range []string{pathList, pathArticle} {
			var got [2]string
			var headers [2]http.Header
			for way := range got {
				s := newShop()
				srv, _ := serverOf(t, s, Config{})
				c := &captured{shop: s}
				srv.deps.Recommender = c
				p, router := newPublic(srv), srv.newEcho()
				publicapi.RegisterHandlers(router, p)
				var h http.Handler = router
				if way == 1 {
					h = p.quickly(srv.shell, router)
				}
				r := httptest.NewRequest(http.MethodGet, path, nil)
				r.URL.RawQuery = query
				r.Header.Set("X-Request-ID", "r1")
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				body := w.Body.String()
				if w.Code != http.StatusOK {
					// Of several faults the answer names any one.
					var problem Problem
					if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil {
						t.Fatal(err)
					}
					body = problem.Code
				}
				got[way], headers[way] = fmt.Sprint(c.query, w.Code, body), w.Header()
			}
			if got[0] != got[1] || !reflect.DeepEqual(headers[0], headers[1]) {
				t.Errorf("%s?%s:\n%s %v, generated\n%s %v", path, query, got[1], headers[1], got[0], headers[0])
			}
		}
	})
}
