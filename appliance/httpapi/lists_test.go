package httpapi

import (
	"strings"
	"testing"
	"time"
)

func TestListsOfEverybody(t *testing.T) {
	s := newShop()
	srv, _ := serverOf(t, s, Config{})
	h := srv.API()
	for do, want := range map[string]ListQuery{
		"GET /v1/popular?limit=2&category=c1":              {Limit: 2, Category: `category == "c1"`},
		"GET /v1/popular?filter=price%3C2":                 {Filter: "price<2"},
		"GET /v1/trending?limit=3":                         {Limit: 3},
		"GET /v1/trending?filter=price%3C2&category=a%22b": {Filter: "price<2", Category: `category == "a\"b"`},
		"GET /v1/latest?window=36h":                        {Window: 36 * time.Hour},
		"GET /v1/latest?window=7d&category=c1":             {Window: 7 * 24 * time.Hour, Category: `category == "c1"`},
		"GET /v1/popular?window=7d":                        {Window: 7 * 24 * time.Hour},
		"GET /v1/trending?window=12h":                      {Window: 12 * time.Hour},
	} {
		w := (call{do: do}).to(h)
		if w.Code != 200 {
			t.Errorf("%s: %d %s", do, w.Code, w.Body)
		}
		got := s.listQuery
		if want.Limit == 0 {
			got.Limit = 0
		}
		got.Now = 0
		if got != want {
			t.Errorf("%s asks %+v, want %+v", do, got, want)
		}
	}
	for do, code := range map[string]string{
		"GET /v1/latest?window=1w":      "invalid_window",
		"GET /v1/latest?window=-1d":     "invalid_window",
		"GET /v1/latest?window=d":       "invalid_window",
		"GET /v1/latest?window=999999d": "invalid_window",
		"GET /v1/latest?window=":        "invalid_window",
		"GET /v1/trending?category=":    "invalid_category",
		"GET /v1/trending?limit=501":    "invalid_limit",
		"GET /v1/trending?window=2d":    "invalid_window",
		"GET /v1/popular?window=":       "invalid_window",
	} {
		if w := (call{do: do}).to(h); w.Code != 400 || !strings.Contains(w.Body.String(), code) {
			t.Errorf("%s: %d %s", do, w.Code, w.Body)
		}
	}
}
