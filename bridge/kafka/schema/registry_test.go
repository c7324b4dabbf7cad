package schema

import (
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vitrine/bridge/kafka/fault"
)

// TestSlowFailure: a registry that took its time to fail is left alone as long, for
// meanwhile other topics wait for what is read with its schemas.
func TestSlowFailure(t *testing.T) {
	var asked, clock atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		clock.Add(int64(4 * time.Second))
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer server.Close()
	a := reader(t, Options{Registry: Registry{URL: server.URL}, Now: func() time.Time { return time.UnixMilli(1760000000000).Add(time.Duration(clock.Load())) }})
	value := encodeAvro(t, avroSecond, 1, map[string]any{"user_id": "u", "item_id": "i", "event_type": "cart"})
	for i, step := range []struct {
		after time.Duration
		asked int64
	}{{0, 1}, {4*time.Second - 1, 1}, {1, 2}} {
		clock.Add(int64(step.after))
		if err := prepare(t, a, value); err == nil || asked.Load() != step.asked {
			t.Errorf("%d: %v, asked %d times, want %d", i, err, asked.Load(), step.asked)
		}
	}
}

// TestDeniedSchema: a schema that the registry does not give, by itself or one that it
// refers to, holds up no other, and is asked for again after a while. The way past it is
// told, and taken without a question.
func TestDeniedSchema(t *testing.T) {
	var mended atomic.Bool
	asked := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked[r.URL.Path]++
		switch {
		case r.URL.Path == "/schemas/ids/4":
			fmt.Fprint(w, `{"schema":"\"int\"","references":[{"subject":"kind","version":1}]}`)
		case r.URL.Path == "/schemas/ids/1" || mended.Load():
			fmt.Fprintf(w, `{"schema":%q}`, avroSecond)
		case r.URL.Path == "/schemas/ids/3":
			http.Error(w, `{"error_code":50001,"message":"Error in the backend"}`, http.StatusInternalServerError)
		default:
			http.Error(w, `{"error_code":40301,"message":"User is denied"}`, http.StatusForbidden)
		}
	}))
	defer server.Close()
	now := time.UnixMilli(1760000000000)
	at := Registry{URL: server.URL, User: "shop", PasswordFile: write(t, "right")}
	a := reader(t, Options{Registry: at, Now: func() time.Time { return now }})
	denied := []struct {
		id         byte
		what, hint string
	}{
		{2, `the schema registry does not give schema 2: user "shop" may not read it`, "allow the user"},
		{3, "the schema registry does not give schema 3: it answers 500 Internal Server Error: Error in the backend", "log"},
		{4, `the schema registry does not give version 1 of kind, which schema 4 refers to: user "shop" may not read it`, "allow the user"},
	}
	for i, test := range denied {
		for range 2 { // of which the second asks nobody
			err := prepare(t, a, []byte{0, 0, 0, 0, test.id})
			var f *fault.Error
			if !errors.As(err, &f) || f.Error() != test.what || !strings.Contains(f.Hint(), test.hint) || !strings.Contains(f.Hint(), fmt.Sprintf("kafka.schema_registry_skip = [%d]", test.id)) {
				t.Errorf("%v (hint %q), want %q", err, f.Hint(), test.what)
			}
		}
		a.registry.forget(1) // what another topic needs is asked for at once
		if err := prepare(t, a, []byte{0, 0, 0, 0, 1}); err != nil || asked["/schemas/ids/1"] != i+1 {
			t.Errorf("beside schema %d: %v", test.id, err)
		}
	}
	if want := map[string]int{"/schemas/ids/1": 3, "/schemas/ids/2": 1, "/schemas/ids/3": 1, "/schemas/ids/4": 1, "/subjects/kind/versions/1": 1}; !maps.Equal(asked, want) {
		t.Errorf("asked %v, want %v", asked, want)
	}

	at.Skip = []uint32{2, 3}
	skips := reader(t, Options{Registry: at, Now: func() time.Time { return now }})
	if err := prepare(t, skips, []byte{0, 0, 0, 0, 2}, []byte{0, 0, 0, 0, 3}, []byte{0, 0, 0, 0, 1}); err != nil || asked["/schemas/ids/2"] != 1 {
		t.Error(err)
	}
	if _, inv := skips.JSON([]byte{0, 0, 0, 0, 3}); inv == nil || inv.Code != CodeUnknown || !strings.Contains(inv.Detail, "schema 3 is not asked for: it is in kafka.schema_registry_skip") {
		t.Error(inv)
	}

	mended.Store(true)
	if err := prepare(t, a, []byte{0, 0, 0, 0, 4}); err == nil {
		t.Error("it is asked for again at once")
	}
	now = now.Add(askAgain)
	if err := prepare(t, a, []byte{0, 0, 0, 0, 2}, []byte{0, 0, 0, 0, 3}, []byte{0, 0, 0, 0, 4}); err != nil {
		t.Error(err)
	}
}

// TestLongSchema: a schema that is too long, zipped or not, or is so with those that it
// refers to, is one that cannot be used, and no more of it is read than that.
func TestLongSchema(t *testing.T) {
	doc := strings.Repeat("x", maxAnswer/2)
	half := fmt.Sprintf(`{"schema":"{\"type\":\"fixed\",\"name\":\"NAME\",\"size\":1,\"doc\":\"%s\"}","references":REFS}`, doc)
	as := func(name, refs string) string { return strings.NewReplacer("NAME", name, "REFS", refs).Replace(half) }
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", registryJSON)
		switch r.URL.Path {
		case "/schemas/ids/1":
			fmt.Fprint(w, `{"schema":"`)
			for range 1000 { // of 10 KiB
				fmt.Fprint(w, doc[:10<<10])
			}
			fmt.Fprint(w, `"}`)
		case "/schemas/ids/2":
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			fmt.Fprint(z, `{"schema":"`, doc, doc, doc, `"}`)
			z.Close()
		case "/schemas/ids/3":
			fmt.Fprint(w, as("a", `[{"subject":"b","version":1},{"subject":"c","version":1}]`))
		case "/schemas/ids/4":
			fmt.Fprint(w, as("a", `[]`))
		case "/schemas/ids/5":
			fmt.Fprint(w, `{"schema":"\"int\"","references":[{"subject":"d","version":1}]}`)
		case "/subjects/d/versions/1":
			fmt.Fprint(w, `{"schema":"`, doc, doc, doc, `"}`)
		default:
			fmt.Fprint(w, as(strings.Split(r.URL.Path, "/")[2], `[]`))
		}
	}))
	defer server.Close()
	a := reader(t, Options{Registry: Registry{URL: server.URL}})
	for id, want := range map[byte]string{
		1: "schema 1 of the registry cannot be used: it has more than 2 MiB", 2: "it has more than 2 MiB", 3: "it has more than 2 MiB with those that it refers to", 4: "",
		5: "it refers to version 1 of d, and it has more than 2 MiB",
	} {
		value := []byte{0, 0, 0, 0, id, 'x'}
		if err := prepare(t, a, value); err != nil {
			t.Fatal(err)
		}
		if k := a.these[uint32(id)]; (k.avro == nil) != (want != "") || !strings.Contains(k.fault, want) {
			t.Errorf("schema %d: %q, want %q", id, k.fault, want)
		}
	}
	for id := range byte(20) {
		if err := prepare(t, a, []byte{0, 0, 0, 1, id}); err != nil {
			t.Fatal(err)
		}
		if s := a.registry; s.size > maxText || len(s.known) == 0 {
			t.Fatalf("%d schemas of %d bytes are kept", len(s.known), s.size)
		}
	}
}

// TestOneQuestion: however many readers need a schema, the registry is asked once, and
// what it said to one it has said to all, be it a schema or that it refuses the user.
func TestOneQuestion(t *testing.T) {
	const readers = 4
	for name, test := range map[string]struct {
		status int
		body   string
		ok     bool
	}{
		"schema":  {200, fmt.Sprintf(`{"schema":%q}`, avroSecond), true},
		"missing": {404, `{"error_code":40403}`, true},
		"refusal": {401, "", false},
		"failure": {503, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			var asked, begun atomic.Int32
			all := make(chan struct{})
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				asked.Add(1)
				<-all
				w.WriteHeader(test.status)
				fmt.Fprint(w, test.body)
			}))
			defer server.Close()
			a := reader(t, Options{Registry: Registry{URL: server.URL}, Now: func() time.Time { return time.UnixMilli(1760000000000) }})
			var done sync.WaitGroup
			for range readers {
				r := a.Reader()
				done.Go(func() {
					if begun.Add(1) == readers {
						close(all)
					}
					if err := prepare(t, r, []byte("\x00\x00\x00\x00\x01")); (err == nil) != test.ok {
						t.Error(err)
					}
				})
			}
			done.Wait()
			if n := asked.Load(); n != 1 {
				t.Errorf("%d readers have asked %d times", readers, n)
			}
		})
	}
}

// TestRegistryRestarts: one that was started again between two questions is asked on a
// new connection, and nobody is told.
func TestRegistryRestarts(t *testing.T) {
	serve := func(address string) *httptest.Server {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"schema":%q}`, avroSecond) }))
		s.Listener.Close()
		s.Listener = l
		s.Start()
		return s
	}
	first := serve("127.0.0.1:0")
	a := reader(t, Options{Registry: Registry{URL: first.URL}})
	for id := range byte(3) {
		if err := prepare(t, a, []byte{0, 0, 0, 0, id}); err != nil {
			t.Fatal(err)
		}
		first.Close()
		first = serve(first.Listener.Addr().String())
	}
	first.Close()
}

// TestAskerLeaves: whoever goes while the registry is asked, as at the end of a
// membership, says nothing of it to the others.
func TestAskerLeaves(t *testing.T) {
	came := make(chan struct{}, 1)
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			came <- struct{}{}
			<-r.Context().Done()
			return
		}
		fmt.Fprintf(w, `{"schema":%q}`, avroSecond)
	}))
	defer server.Close()
	a := reader(t, Options{Registry: Registry{URL: server.URL}, Now: func() time.Time { return time.UnixMilli(1760000000000) }})
	value := []byte("\x00\x00\x00\x00\x01")
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 2)
	go func() { left <- a.Prepare(ctx, slices.Values([][]byte{value})) }()
	<-came
	other := a.Reader()
	go func() { left <- other.Prepare(ctx, slices.Values([][]byte{value})) }()
	leave()
	for range 2 {
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	if err := prepare(t, a.Reader(), value); err != nil || a.registry.fault != nil {
		t.Error(err)
	}
}

// TestManyUnknown: numbers of schemas that the registry does not have, as bytes that are
// no Avro look like, do not push out those that it has, and only so many of them are
// asked for at a time.
func TestManyUnknown(t *testing.T) {
	known, unknown := 0, 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/schemas/ids/1" {
			unknown++
			http.Error(w, `{"error_code":40403}`, http.StatusNotFound)
			return
		}
		known++
		fmt.Fprintf(w, `{"schema":%q}`, avroSecond)
	}))
	defer server.Close()
	now := time.UnixMilli(1760000000000)
	a := reader(t, Options{Registry: Registry{URL: server.URL}, Now: func() time.Time { return now }})
	for part, want := range []int{maxMisses, maxMisses, 2 * maxMisses} {
		if part == 2 {
			now = now.Add(askAgain)
		}
		values := [][]byte{{0, 0, 0, 0, 1}}
		for id := range uint16(maxSchemas + maxMisses) {
			values = append(values, binary.BigEndian.AppendUint16([]byte{0, 0, byte(part + 1)}, id))
		}
		if err := prepare(t, a, values...); err != nil || len(a.registry.known) > maxSchemas {
			t.Fatalf("%d are kept, %v", len(a.registry.known), err)
		}
		if known != 1 || unknown != want {
			t.Errorf("part %d: the schema was asked for %d times, others %d times, want %d", part, known, unknown, want)
		}
		if _, inv := a.JSON(values[len(values)-1]); inv == nil || !strings.Contains(inv.Detail, "was not asked for: the registry has just had none of 256 others") {
			t.Errorf("part %d: %v", part, inv)
		}
	}
}

// TestNewAmongUnknown: a schema that is new while numbers come which the registry does
// not have is asked for when its number comes again, be it in the same values or later,
// and numbers that are not there are asked for no more than twice as often for that.
func TestNewAmongUnknown(t *testing.T) {
	unknown := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path.Dir(r.URL.Path) == "/schemas/ids" && len(path.Base(r.URL.Path)) == 1 {
			fmt.Fprintf(w, `{"schema":%q}`, avroSecond)
			return
		}
		unknown++
		http.Error(w, `{"error_code":40403}`, http.StatusNotFound)
	}))
	defer server.Close()
	now := time.UnixMilli(1760000000000)
	a := reader(t, Options{Registry: Registry{URL: server.URL}, Now: func() time.Time { return now }})
	flood := func(part byte) (values [][]byte) {
		for id := range uint16(maxSchemas + maxMisses) {
			values = append(values, binary.BigEndian.AppendUint16([]byte{0, 0, part}, id))
		}
		return values
	}
	value := func(id byte) []byte { return []byte{0, 0, 0, 0, id} }
	for i, step := range []struct {
		values [][]byte
		known  [2]bool // of schemas 1 and 2
		asked  int
	}{
		{append(append(flood(1), value(1)), value(1)), [2]bool{true, false}, maxMisses},
		{append(append([][]byte{value(2)}, flood(2)...), value(1)), [2]bool{true, false}, maxMisses},
		{[][]byte{value(2)}, [2]bool{true, false}, maxMisses}, // its number was forgotten among the others
		{[][]byte{value(2)}, [2]bool{true, true}, maxMisses},
		{append(flood(3), flood(3)...), [2]bool{true, true}, 2 * maxMisses},
		{append(flood(3), flood(3)...), [2]bool{true, true}, 2 * maxMisses},
	} {
		if err := prepare(t, a, step.values...); err != nil {
			t.Fatal(err)
		}
		known := func(id uint32) bool { k := a.registry.known[id]; return k != nil && k.avro != nil }
		if got := [2]bool{known(1), known(2)}; got != step.known || unknown != step.asked {
			t.Errorf("step %d: %v are known, and %d were not there; want %v, %d", i, got, unknown, step.known, step.asked)
		}
	}
}
