package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// hostileRSS is what the appliance may take at its peak under TestHostile, in
// MiB: the small shop takes 100, and eight bodies of the largest size may be
// in memory at once, parsed.
const hostileRSS = 600

// peakRSS is the most memory that the daemon had resident, in MiB.
func (d *daemon) peakRSS() int {
	d.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		d.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		d.t.Fatal(err)
	}
	return kib >> 10
}

// slowloris opens connections that begin a request and never end it, half of
// them within the header and half within the body.
func slowloris(t *testing.T, d *daemon, n int) {
	t.Helper()
	address := strings.TrimPrefix(d.url, "http://")
	for i := range n {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		t.Cleanup(func() { c.Close() })
		begin := "GET /v1/recommend?user_id=u1 HTTP/1.1\r\nHost: x\r\nX-Slow: "
		if i%2 == 1 {
			begin = "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n[{"
		}
		if _, err := io.WriteString(c, begin); err != nil {
			t.Fatal(err)
		}
	}
}

// manyConnections are a thousand, or as many as this process and the daemon may
// each have beside their other files.
func manyConnections(t *testing.T) int {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	const others = 256
	n := min(1000, int64(min(limit.Max, 1<<20))-others)
	if n < 1 {
		t.Skipf("only %d files may be open", limit.Max)
	}
	return int(n)
}

// anyUnicode is an id of exactly so many bytes, of letters, marks, signs and
// whatever else is no control character.
func anyUnicode(rng *rand.Rand, size int) string {
	var b strings.Builder
	for b.Len() < size {
		r := rune(rng.IntN(0x110000))
		if n := utf8.RuneLen(r); n > 0 && b.Len()+n <= size && r != utf8.RuneError && !unicode.IsControl(r) {
			b.WriteRune(r)
		} else if b.Len() == size-1 {
			b.WriteByte('z')
		}
	}
	return b.String()
}

// hostileBodies are requests that are meant to hurt.
func hostileBodies() map[string][2]string {
	const big = 10 << 20
	term := func(n int, join string) string {
		terms := make([]string, n)
		for i := range terms {
			terms[i] = fmt.Sprintf(`category != "c%d"`, i)
		}
		return strings.Join(terms, join)
	}
	ask := func(filter string) string {
		body, _ := json.Marshal(map[string]any{"user_id": "u1", "limit": 5, "filter": filter})
		return string(body)
	}
	excluded := make([]string, 100_000)
	for i := range excluded {
		excluded[i] = fmt.Sprintf("i%d", i)
	}
	exclude, _ := json.Marshal(map[string]any{"user_id": "u1", "exclude": excluded})
	row := `{"user_id":"crowd","item_id":"i1","event_type":"view","ts":1700000000000,"event_id":"` + strings.Repeat("e", 60) + `"}` + "\n"
	const events, recommend, batch = "POST /v1/events", "POST /v1/recommend", "POST /v1/items:batch"
	return map[string][2]string{
		"10 MB of open arrays":           {events, strings.Repeat("[", big)},
		"10 MB of open objects":          {recommend, strings.Repeat(`{"a":`, big/5)},
		"10 MB of zeros":                 {events, strings.Repeat("\x00", big)},
		"10 MB of one string":            {events, `{"user_id":"` + strings.Repeat("u", big) + `"}`},
		"10 MB of props":                 {events, `{"user_id":"u","item_id":"i","event_type":"view","props":{"a":"` + strings.Repeat("p", big) + `"}}`},
		"10 MB of events":                {events, strings.Repeat(row, big/len(row))},
		"10 MB of empty objects":         {events, "[" + strings.Repeat("{},", big/3) + "{}]"},
		"10 MB of empty items":           {batch, "[" + strings.Repeat("{},", big/3) + "{}]"},
		"10 MB of a question":            {recommend, `{"user_id":"u1","filter":"` + strings.Repeat(" ", big) + `"}`},
		"10 MB of a number":              {recommend, `{"user_id":"u1","limit":` + strings.Repeat("9", big) + `}`},
		"an exclude list of 100k":        {recommend, string(exclude)},
		"a session of 100k":              {recommend, strings.Replace(string(exclude), "exclude", "session", 1)},
		"a filter of 1,000 ands":         {recommend, ask(term(1000, " && "))},
		"a filter of 1,000 ors":          {recommend, ask(term(1000, " || "))},
		"a filter of a list of 1,000":    {recommend, ask(`category in ["` + strings.Join(excluded[:1000], `","`) + `"]`)},
		"a filter of 10,000 parentheses": {recommend, ask(strings.Repeat("(", 10_000) + "price > 1" + strings.Repeat(")", 10_000))},
		"a filter of 100,000 nots":       {recommend, ask(strings.Repeat("!", 100_000) + "has(price)")},
	}
}

// TestHostile sends what is meant to hurt, from all sides at once, beside a
// thousand connections that never end their request. Everything is refused or
// served: no crash, no panic, no 5xx but 503, memory bounded; and then all is as
// before.
func TestHostile(t *testing.T) {
	skipShort(t)
	t.Parallel()
	d := start(t, shortDir(t))
	smallShop(t, d)
	vitrine(t, "train", "--data", d.dir).must(t)
	before := d.rss()
	slowloris(t, d, manyConnections(t))
	client := &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	do := func(method, path, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, d.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		answer, err := client.Do(req)
		if err != nil {
			// A body that is refused early closes the connection under the sender.
			if strings.Contains(err.Error(), "reset by peer") || strings.Contains(err.Error(), "broken pipe") {
				return 0, ""
			}
			t.Errorf("%s %s: %v", method, path, err)
			return 0, ""
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		if answer.StatusCode >= 500 && answer.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s %.60s of %d bytes: %d %.300s", method, path, len(body), answer.StatusCode, text)
		}
		return answer.StatusCode, string(text)
	}
	var mu sync.Mutex
	codes := map[string][]int{}
	var all sync.WaitGroup
	bodies := hostileBodies()
	for name, request := range bodies {
		all.Go(func() {
			method, path, _ := strings.Cut(request[0], " ")
			for range 3 {
				began := time.Now()
				code, _ := do(method, path, request[1])
				took := time.Since(began)
				figure(t, took <= 20*time.Second, "%s: answered after %v, bar 20 s", name, took)
				mu.Lock()
				codes[name] = append(codes[name], code)
				mu.Unlock()
			}
		})
	}
	// A machine that has too much to do refuses some, to come again.
	again := func(method, path, body string) (code int, answer string) {
		until(t, method+" "+path+" is not refused", func() bool {
			code, answer = do(method, path, body)
			return code != http.StatusServiceUnavailable
		})
		return code, answer
	}
	for worker := range 4 {
		all.Go(func() { unicodeIDs(t, again, uint64(worker)) })
	}
	all.Wait()
	t.Logf("answers: %v", codes)
	for _, name := range []string{"an exclude list of 100k", "a session of 100k", "a filter of 100,000 nots", "10 MB of a number"} {
		for _, code := range codes[name] {
			if code != 400 && code != 413 && code != 0 {
				t.Errorf("%s: %d, want it refused", name, code)
			}
		}
	}
	// The thousand that send nothing more hold no room that others want.
	if code, answer := again("POST", "/v1/events", bodies["10 MB of events"][1]); code != 202 {
		t.Errorf("10 MB of good events: %d %s", code, answer)
	}
	// What was refused for a crowd that is gone, is not for long.
	for range 3 {
		var code int
		var answer string
		until(t, "a live answer", func() bool {
			code, answer = again("GET", "/v1/recommend?user_id=u1&limit=5", "")
			return code != 200 || strings.Contains(answer, `"source":"live"`)
		})
		if code != 200 {
			t.Errorf("afterwards: %d %s", code, answer)
		}
	}
	t.Logf("resident: %d MiB before, %d after, %d at the peak; bar %d", before, d.rss(), d.peakRSS(), hostileRSS)
	if peak := d.peakRSS(); peak > hostileRSS {
		t.Errorf("the appliance took %d MiB, at most %d are meant", peak, hostileRSS)
	}
	if log := d.err.String(); strings.Contains(log, "panic") || strings.Contains(log, "fatal error") {
		t.Errorf("the log tells of a crash:\n%s", log)
	}
	d.stop()
}

// unicodeIDs takes ids of 256 bytes the whole way: an item is put, looked at,
// found and deleted; one byte more is refused.
func unicodeIDs(t *testing.T, do func(method, path, body string) (int, string), seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 256))
	for range 25 {
		user, item := anyUnicode(rng, 256), anyUnicode(rng, 256)
		path := "/v1/items/" + url.PathEscape(item)
		if code, answer := do("PUT", path, `{"attributes":{"name":"odd"}}`); code != 200 {
			t.Errorf("PUT %q: %d %s", item, code, answer)
			return
		}
		event, err := json.Marshal(map[string]any{"user_id": user, "item_id": item, "event_type": "view"})
		if err != nil {
			t.Error(err)
			return
		}
		if code, answer := do("POST", "/v1/events", string(event)); code != 202 || !strings.Contains(answer, `"accepted":1`) {
			t.Errorf("event of %q: %d %s", user, code, answer)
			return
		}
		var got struct {
			UserID string `json:"user_id"`
			Items  []struct {
				ItemID string `json:"item_id"`
			} `json:"items"`
		}
		_, answer := do("GET", "/v1/users/"+url.PathEscape(user)+"/history", "")
		if !strings.Contains(answer, "view") {
			t.Errorf("history of %q: %s", user, answer)
		}
		_, answer = do("GET", "/v1/recommend?limit=5&user_id="+url.QueryEscape(user)+"&session="+url.QueryEscape(item), "")
		if err := json.Unmarshal([]byte(answer), &got); err != nil || got.UserID != user || len(got.Items) != 5 {
			t.Errorf("list of %q: %v %s", user, err, answer)
		}
		for _, call := range [][3]string{
			{"GET", path + "/similar", ""}, {"DELETE", path, ""}, {"DELETE", "/v1/users/" + url.PathEscape(user), ""},
		} {
			if code, answer := do(call[0], call[1], call[2]); code >= 300 {
				t.Errorf("%s %q: %d %s", call[0], item, code, answer)
			}
		}
		if code, _ := do("PUT", "/v1/items/"+url.PathEscape(item+"x"), `{"attributes":{}}`); code != 400 {
			t.Errorf("an id of 257 bytes: %d", code)
		}
	}
}
