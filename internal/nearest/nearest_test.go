package nearest

import "testing"

func TestName(t *testing.T) {
	names := []string{"http.listen", "http.admin_listen", "log.level", "CustomerID", "from"}
	for typed, want := range map[string]string{
		"http.lisen": "http.listen", "log.levle": "log.level", "customer_id": "CustomerID", "xyzzy": "", "": "", "slot": "",
	} {
		if got := Name(typed, names); got != want {
			t.Errorf("Name(%q) = %q, want %q", typed, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "", 3}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}} {
		if got := Distance(c.a, c.b); got != c.want {
			t.Errorf("Distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
