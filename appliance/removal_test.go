package appliance

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestErasedUserIsGone: from answers, fold-in and history at once, and for
// good: not brought back by a restart, out of the archive or out of the log.
func TestErasedUserIsGone(t *testing.T) {
	dir := shortDir(t)
	began := time.Now()
	r := run(t, dir, nil)
	r.post(shopEvents(60, 1500, "shop")...)
	r.trained()
	now := time.Now().UnixMilli()
	for n := range 20 {
		for _, user := range []string{"leaver", "guest", "early"} {
			r.post(eventJSON(user, fmt.Sprint("i", n), "purchase", now-int64(n)*1000, ""))
		}
	}
	// A time of its own: of equal times of two users the log decides which came
	// first, and sources that go by order see it once they are merged.
	r.post(eventJSON("account", "i3", "view", now+1, ""))
	r.call("PUT", "/v1/users/leaver", `{"attributes":{"region":"north"}}`, nil)
	history := func(user string) int {
		var page struct{ Events []any }
		if code := r.call("GET", "/v1/users/"+user+"/history", "", &page); code != 200 {
			t.Fatalf("history: %d", code)
		}
		return len(page.Events)
	}
	if l := r.recommend("user_id=leaver"); l.Source != "live" || history("leaver") != 20 || history("guest") != 20 {
		t.Fatalf("before: %+v, %d events", l, history("leaver"))
	}
	// One half of what follows is in the archive at the restart, the other on
	// the bus.
	if code := r.call("DELETE", "/v1/users/early", "", nil); code != 202 {
		t.Fatalf("DELETE: %d", code)
	}
	r.trained() // commits first
	if code := r.call("DELETE", "/v1/users/leaver", "", nil); code != 202 {
		t.Fatalf("DELETE: %d", code)
	}
	if code := r.call("POST", "/v1/users:merge", `{"from":"guest","into":"account"}`, nil); code != 200 {
		t.Fatalf("merge: %d", code)
	}
	if code := r.call("DELETE", "/v1/items/i3", "", nil); code != 204 {
		t.Fatalf("delete item: %d", code)
	}
	check := func(when string) {
		t.Helper()
		for _, user := range []string{"leaver", "early", "guest"} {
			if l := r.recommend("user_id=" + user); l.Source != "popular" || l.Reason != "unknown_user" || history(user) != 0 {
				t.Errorf("%s: %s is answered %s %s and has %d events", when, user, l.Source, l.Reason, history(user))
			}
		}
		if code := r.call("GET", "/v1/users/leaver", "", nil); code != 404 {
			t.Errorf("%s: the attributes answer %d", when, code)
		}
		var status struct{ Serving, Archive string }
		if code := r.call("GET", "/v1/users/early/erasure", "", &status); code != 200 || status.Serving != "done" || status.Archive != "pending" && time.Since(began) < upkeepBegins {
			t.Errorf("%s: status %d %+v", when, code, status)
		}
		if n := history("account"); n != 21 {
			t.Errorf("%s: the account has %d events", when, n)
		}
		l := r.recommend("user_id=account&limit=500")
		ids := fmt.Sprint(l.Items)
		if l.Source != "live" || strings.Contains(ids, "{i3 ") {
			t.Errorf("%s: the account is answered %s %s, deleted item shown: %v", when, l.Source, l.Reason, strings.Contains(ids, "{i3 "))
		}
	}
	check("at once")
	r.close()
	r = run(t, dir, nil)
	check("after a restart")
	r.close()
	r = run(t, dir, nil)
	check("after another")
	r.post(eventJSON("leaver", "i1", "view", time.Now().UnixMilli(), ""))
	if history("leaver") != 1 {
		t.Error("who comes back is not known")
	}
	r.close()
}

// upkeepBegins is how soon the archive's files may be written anew, for which a
// busy machine may have taken long enough.
const upkeepBegins = 20 * time.Second
