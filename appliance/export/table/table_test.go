package table

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vitrine/internal/pyreaders"
)

// samples are the lines of each kind, as the appliance sends them.
var samples = map[string][]string{
	Recommendations: {
		`{"user_id":"u1","recommendations":[{"item_id":"i1","score":1.5},{"item_id":"i\u00fc2","score":-0.25}],"source":"live","model":"v1"}`,
		`{"user_id":"u\"2","recommendations":[{"item_id":"i1","score":3}],"source":"popular","reason":"cold_user"}`,
		`{"user_id":"u3","recommendations":[],"source":"empty","reason":"no_items"}`,
	},
	Events: {
		`{"user_id":"u1","item_id":"i1","event_type":"view","ts":"2026-01-02T03:04:05.006Z","value":2,"event_id":"e1","session_id":"s1","request_id":"r1","position":3,"scene":"home","price":9.5,"currency":"EUR","props":{"a":[1]}}`,
		`{"user_id":"u2","item_id":"i1","event_type":"cart","ts":"2026-01-02T03:04:06Z"}`,
	},
	Items: {
		`{"item_id":"i1","attributes":{"name":"Oak <table>","price":249},"expires_at":"2030-01-01T00:00:00Z","ts":"2026-01-02T03:04:05Z"}`,
		`{"item_id":"i2","attributes":{}}`,
	},
	Users: {`{"user_id":"u1","attributes":{"vip":true},"ts":"2026-01-02T03:04:05Z"}`, `{"user_id":"u2","attributes":{}}`},
	Model: {`{"user_id":"u1","factors":[0.5,-1.25]}`, `{"item_id":"i1","factors":[1,2]}`, `{"item_id":"i2","factors":[3,4]}`},
}

// streamOf is an export of these rows.
func streamOf(rows []string) string {
	return strings.Join(append(slices.Clone(rows), fmt.Sprintf(`{"rows":%d,"failed":0}`, len(rows))), "\n") + "\n"
}

// names are all files below a folder.
func names(t *testing.T, dir string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			found = append(found, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// TestLines: without codes the lines stay as they came, and each table has its
// folder with the mark that it is whole.
func TestLines(t *testing.T) {
	for kind, rows := range samples {
		dir := filepath.Join(t.TempDir(), "new", "folder")
		res, err := Receive(t.Context(), strings.NewReader(streamOf(rows)), Options{Dir: dir, Kind: kind, NDJSON: true})
		if err != nil || res.Rows != int64(len(rows)) {
			t.Fatalf("%s: %+v, %v", kind, res, err)
		}
		var got []string
		for _, table := range res.Tables {
			got = append(got, strings.Split(read(t, dir, table, "part-00000.ndjson"), "\n")...)
			if read(t, dir, table, "_SUCCESS") != "" {
				t.Error("the mark is not empty")
			}
		}
		if !slices.Equal(got, rows) {
			t.Errorf("%s: %q, want %q", kind, got, rows)
		}
		if files := names(t, dir); len(files) != res.Files+len(res.Tables) {
			t.Errorf("%s: %v, %+v", kind, files, res)
		}
	}
}

// TestCodes: numbers stand for ids in the order in which they come, and what they
// stand for lies beside.
func TestCodes(t *testing.T) {
	dir := t.TempDir()
	res, err := Receive(t.Context(), strings.NewReader(streamOf(samples[Recommendations])), Options{Dir: dir, Kind: Recommendations, NDJSON: true, Codes: true})
	if err != nil || !slices.Equal(res.Tables, []string{userCodes, itemCodes, Recommendations}) || res.Rows != 3 || res.Files != 3 {
		t.Fatalf("%+v, %v", res, err)
	}
	for table, want := range map[string]string{
		Recommendations: `{"user_id":0,"recommendations":[{"item_id":0,"score":1.5},{"item_id":1,"score":-0.25}],"source":"live","model":"v1"}
{"user_id":1,"recommendations":[{"item_id":0,"score":3}],"source":"popular","reason":"cold_user"}
{"user_id":2,"recommendations":[],"source":"empty","reason":"no_items"}`,
		userCodes: `{"code":0,"user_id":"u1"}
{"code":1,"user_id":"u\"2"}
{"code":2,"user_id":"u3"}`,
		itemCodes: "{\"code\":0,\"item_id\":\"i1\"}\n{\"code\":1,\"item_id\":\"i\u00fc2\"}",
	} {
		if got := read(t, dir, table, "part-00000.ndjson"); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", table, got, want)
		}
	}
	// Events keep all that they have.
	dir = t.TempDir()
	if _, err := Receive(t.Context(), strings.NewReader(streamOf(samples[Events])), Options{Dir: dir, Kind: Events, NDJSON: true, Codes: true}); err != nil {
		t.Fatal(err)
	}
	want := strings.NewReplacer(`"u1"`, "0", `"u2"`, "1", `"i1"`, "0").Replace(strings.Join(samples[Events], "\n"))
	if got := read(t, dir, Events, "part-00000.ndjson"); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	for kind, tables := range map[string][]string{Items: {itemCodes, Items}, Users: {userCodes, Users}, Model: {userCodes, itemCodes, userFactors, itemFactors}} {
		res, err := Receive(t.Context(), strings.NewReader(streamOf(samples[kind])), Options{Dir: t.TempDir(), Kind: kind, Codes: true})
		if err != nil || !slices.Equal(res.Tables, tables) {
			t.Errorf("%s: %+v, %v", kind, res, err)
		}
	}
}

// TestManyParts: a long table has several files, and all of its rows.
func TestManyParts(t *testing.T) {
	const rows, most = 3 * chunkRows * 2, 2 * chunkRows * 2
	for _, ndjson := range []bool{false, true} {
		in, out := io.Pipe()
		go func() {
			for range rows {
				_, _ = io.WriteString(out, `{"user_id":"u","attributes":{}}`+"\n")
			}
			_, _ = fmt.Fprintf(out, `{"rows":%d,"failed":2}`+"\n", rows)
			_ = out.Close()
		}()
		dir, told := t.TempDir(), int64(0)
		res, err := Receive(t.Context(), in, Options{Dir: dir, Kind: Users, NDJSON: ndjson, partRows: most, Progress: func(n int64) { told = n }})
		if err != nil || res.Rows != rows || res.Files != 2 || res.Failed != 2 || told != rows {
			t.Errorf("%+v, told %d: %v", res, told, err)
		}
		if files := names(t, dir); len(files) != 3 {
			t.Errorf("%v", files)
		}
	}
}

// TestNothingLooksWhole: whatever is wrong with a stream, no file stays.
func TestNothingLooksWhole(t *testing.T) {
	good := streamOf(samples[Recommendations])
	broken := errors.New("the wire broke")
	var cut *CutError
	for name, c := range map[string]struct {
		in   io.Reader
		want func(error) bool
	}{
		"cut between lines": {strings.NewReader(good[:strings.LastIndex(good, `{"rows"`)]), func(err error) bool { return errors.As(err, &cut) && cut.Rows == 3 && cut.Hint() != "" }},
		"cut in a line":     {strings.NewReader(good[:len(good)/2]), func(err error) bool { return err != nil }},
		"nothing":           {strings.NewReader(""), func(err error) bool { return errors.As(err, &cut) && cut.Rows == 0 }},
		"a broken wire": {io.MultiReader(strings.NewReader(samples[Recommendations][0]+"\n"), brokenReader{broken}), func(err error) bool {
			return errors.Is(err, broken) && errors.As(err, &cut)
		}},
		"too few":      {strings.NewReader(`{"rows":1,"failed":0}` + "\n"), func(err error) bool { return strings.Contains(err.Error(), "0 rows, not 1") }},
		"more behind":  {strings.NewReader(good + samples[Recommendations][0] + "\n"), func(err error) bool { return strings.Contains(err.Error(), "behind the last line") }},
		"no JSON":      {strings.NewReader("oh no\n" + good), func(err error) bool { return strings.Contains(err.Error(), `understand "oh no"`) }},
		"an odd count": {strings.NewReader(`{"rows":"x"}` + "\n"), func(err error) bool { return strings.Contains(err.Error(), "last line") }},
	} {
		for _, codes := range []bool{false, true} {
			dir := t.TempDir()
			if res, err := Receive(t.Context(), c.in, Options{Dir: dir, Kind: Recommendations, Codes: codes}); err == nil || !codes && !c.want(err) || res.Rows != 0 {
				t.Errorf("%s: %+v, %v", name, res, err)
			}
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				t.Errorf("%s: %v is left", name, left)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	if _, err := Receive(ctx, strings.NewReader(good), Options{Dir: dir, Kind: Recommendations}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

type brokenReader struct{ err error }

func (b brokenReader) Read([]byte) (int, error) { return 0, b.err }

// TestNothingIsReplaced: a table that is there stays as it is.
func TestNothingIsReplaced(t *testing.T) {
	dir := t.TempDir()
	in := func() io.Reader { return strings.NewReader(streamOf(samples[Items])) }
	if _, err := Receive(t.Context(), in(), Options{Dir: dir, Kind: Items, Codes: true}); err != nil {
		t.Fatal(err)
	}
	before := names(t, dir)
	for _, opt := range []Options{{Kind: Items}, {Kind: Items, NDJSON: true}, {Kind: Recommendations, Codes: true}} {
		opt.Dir = dir
		if _, err := Receive(t.Context(), in(), opt); !errors.Is(err, ErrExists) {
			t.Errorf("%+v: %v", opt, err)
		}
	}
	if after := names(t, dir); !slices.Equal(before, after) {
		t.Errorf("before %v, after %v", before, after)
	}
	// Others may lie beside it.
	if _, err := Receive(t.Context(), strings.NewReader(streamOf(samples[Users])), Options{Dir: dir, Kind: Users}); err != nil {
		t.Error(err)
	}
}

func TestLists(t *testing.T) {
	var got []string
	res, err := Lists(t.Context(), strings.NewReader(streamOf(samples[Recommendations])), nil, func(user string, items []string) error {
		got = append(got, user+"="+strings.Join(items, ","))
		return nil
	})
	if want := []string{"u1=i1,i\u00fc2", `u"2=i1`, "u3="}; err != nil || res.Rows != 3 || !slices.Equal(got, want) {
		t.Errorf("%q, %+v, %v", got, res, err)
	}
	mine := errors.New("enough")
	if _, err := Lists(t.Context(), strings.NewReader(streamOf(samples[Recommendations])), nil, func(string, []string) error { return mine }); !errors.Is(err, mine) {
		t.Error(err)
	}
}

const pythonScript = `
import sys, duckdb, pyarrow as pa, pyarrow.dataset as ds
root = sys.argv[1]
def arrow(name): return ds.dataset(root + "/" + name).to_table()
lists = arrow("ids/recommendations")
assert lists.schema.field("recommendations").type.value_type.field("score").type == pa.float32(), lists.schema
print(lists.column("user_id").to_pylist(), lists.column("recommendations").to_pylist()[0], lists.column("reason").to_pylist())
print(duckdb.sql(f"""select user_id, r.item_id, r.score from (select user_id, unnest(recommendations) r
  from read_parquet('{root}/ids/recommendations/*.parquet')) order by all""").fetchall())
assert arrow("codes/recommendations").schema.field("user_id").type == pa.int32()
print(duckdb.sql(f"""select u.user_id, i.item_id from (select user_id, unnest(recommendations) r from read_parquet('{root}/codes/recommendations/*.parquet')) l
  join read_parquet('{root}/codes/user_codes/*.parquet') u on u.code = l.user_id
  join read_parquet('{root}/codes/item_codes/*.parquet') i on i.code = l.r.item_id order by all""").fetchall())
events = arrow("ids/events")
assert events.schema.field("ts").type == pa.timestamp("ms", tz="UTC"), events.schema
print(events.drop_columns(["ts"]).to_pylist()[0], events.column("value").null_count)
print(arrow("ids/items").column("expires_at").null_count, duckdb.sql(f"select attributes->>'$.price' from read_parquet('{root}/ids/items/*.parquet')").fetchall())
print(arrow("ids/users").column("attributes").to_pylist(), arrow("ids/user_factors").to_pylist(), arrow("ids/item_factors").num_rows)
`

const pythonWant = `['u1', 'u"2', 'u3'] [{'item_id': 'i1', 'score': 1.5}, {'item_id': 'i` + "\u00fc" + `2', 'score': -0.25}] [None, 'cold_user', 'no_items']
[('u"2', 'i1', 3.0), ('u1', 'i1', 1.5), ('u1', 'i` + "\u00fc" + `2', -0.25)]
[('u"2', 'i1'), ('u1', 'i1'), ('u1', 'i` + "\u00fc" + `2')]
{'user_id': 'u1', 'item_id': 'i1', 'event_type': 'view', 'value': 2.0, 'event_id': 'e1', 'session_id': 's1', 'request_id': 'r1', 'position': 3, 'scene': 'home', 'price': 9.5, 'currency': 'EUR', 'props': '{"a":[1]}'} 1
1 [('249',), (None,)]
['{"vip":true}', '{}'] [{'user_id': 'u1', 'factors': [0.5, -1.25]}] 2`

// TestOthersReadTheTables lets pyarrow and DuckDB read the folders as they lie
// there.
func TestOthersReadTheTables(t *testing.T) {
	python := pyreaders.Find(t)
	dir := t.TempDir()
	for kind, rows := range samples {
		for _, c := range []struct {
			folder string
			codes  bool
		}{{"ids", false}, {"codes", true}} {
			opt := Options{Dir: filepath.Join(dir, c.folder), Kind: kind, Codes: c.codes, Metadata: map[string]string{"vitrine.table": kind}}
			if c.codes && kind != Recommendations {
				opt.Dir = filepath.Join(dir, kind)
			}
			if _, err := Receive(t.Context(), strings.NewReader(streamOf(rows)), opt); err != nil {
				t.Fatal(err)
			}
		}
	}
	python.Prints(t, pythonScript, dir, pythonWant)
}

// FuzzRows: no line of any kind makes a reader panic, and a row that was read is
// one that can be written.
func FuzzRows(f *testing.F) {
	for _, rows := range samples {
		for _, row := range rows {
			f.Add([]byte(row))
		}
	}
	f.Add([]byte(`{"user_id":1,"factors":null}`))
	f.Add([]byte(`{"user_id":"u","item_id":"i","event_type":"view","props":null}`))
	same := func(id string) (string, error) { return id, nil }
	ids := naming[string]{same, same}
	f.Fuzz(func(t *testing.T, line []byte) {
		users, items := newDictionary(), newDictionary()
		codes := naming[int32]{users.code, items.code}
		for _, row := range []func() (any, error){
			func() (any, error) { return ids.list(line) }, func() (any, error) { return codes.list(line) },
			func() (any, error) { return ids.event(line) }, func() (any, error) { return codes.event(line) },
			func() (any, error) { return ids.itemRow(line) }, func() (any, error) { return codes.userRow(line) },
			func() (any, error) { return ids.userFactors(line) }, func() (any, error) { return codes.itemFactors(line) },
		} {
			got, err := row()
			if err != nil {
				continue
			}
			if _, err := json.Marshal(got); err != nil {
				t.Errorf("%q was read as %+v: %v", line, got, err)
			}
		}
	})
}

// BenchmarkReceive: the floor is reading 450 bytes of JSON a list; most is
// encoding/json. 10 us a list measured, of 20 items.
func BenchmarkReceive(b *testing.B) {
	const lists = 4096
	var text strings.Builder
	for n := range lists {
		fmt.Fprintf(&text, `{"user_id":"user%d","recommendations":[`, n)
		for i := range 20 {
			if i > 0 {
				text.WriteByte(',')
			}
			fmt.Fprintf(&text, `{"item_id":"i%d","score":%d.53125}`, (n*7919+i*i)%100_000, 20-i)
		}
		text.WriteString(`],"source":"live","model":"20260101T000000.000Z"}` + "\n")
	}
	fmt.Fprintf(&text, `{"rows":%d,"failed":0}`, lists)
	dir, n := b.TempDir(), 0
	for b.Loop() {
		n++
		if _, err := Receive(b.Context(), strings.NewReader(text.String()), Options{Dir: filepath.Join(dir, fmt.Sprint(n)), Kind: Recommendations}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(lists*float64(b.N)/b.Elapsed().Seconds(), "lists/s")
}
