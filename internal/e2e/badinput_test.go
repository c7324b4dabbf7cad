package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"vitrine/appliance/demo"
)

// complains wants the exit code, and on stderr one line of the form
// `vitrine: what: why` with all the texts wanted, then a hint where the want
// begins with "hint: ". Lines of the daemon's log may stand before it, and of
// progress where a step took a second.
func (r result) complains(t *testing.T, code int, want ...string) {
	t.Helper()
	var lines, hints []string
	for line := range strings.Lines(r.err) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "vitrine: "):
			lines = append(lines, line)
		case strings.HasPrefix(line, "hint: ") && len(lines) > 0:
			hints = append(hints, line)
		case !strings.HasPrefix(line, "time=") && !progressLine.MatchString(line+"\n"):
			t.Errorf("a line on stderr that is neither the fault nor the hint: %q", line)
		}
	}
	if r.code != code {
		t.Errorf("exit %d, want %d", r.code, code)
	}
	if len(lines) != 1 || len(hints) > 1 {
		t.Errorf("%d faults and %d hints on stderr:\n%s", len(lines), len(hints), r.err)
	}
	for _, w := range want {
		in := lines
		if strings.HasPrefix(w, "hint: ") {
			in = hints
		}
		if !strings.Contains(strings.Join(in, "\n"), w) {
			t.Errorf("stderr lacks %q:\n%s", w, r.err)
		}
	}
	t.Logf("exit %d: %s", r.code, strings.TrimSpace(r.err))
}

// letter is a refused row as `deadletters list --json` shows it.
type letter struct {
	Source, Code, Detail string
	Line                 int
}

// letters lists what was refused of one source.
func (d *daemon) letters(source string) []letter {
	d.t.Helper()
	var out []letter
	for cursor := ""; ; {
		var page struct {
			Items      []letter
			NextCursor string `json:"next_cursor"`
		}
		text := vitrine(d.t, "deadletters", "list", "--json", "--limit", "500", "--cursor", cursor, "--data", d.dir).must(d.t).out
		if err := json.Unmarshal([]byte(text), &page); err != nil {
			d.t.Fatal(err)
		}
		for _, l := range page.Items {
			if l.Source == source {
				out = append(out, l)
			}
		}
		if cursor = page.NextCursor; cursor == "" {
			return out
		}
	}
}

// letterCodes counts what was refused of one source, by its codes.
func (d *daemon) letterCodes(source string) map[string]int {
	d.t.Helper()
	codes := map[string]int{}
	for _, l := range d.letters(source) {
		codes[l.Code]++
	}
	return codes
}

// row is an event as NDJSON.
func row(user, ts string) string {
	return fmt.Sprintf(`{"user_id":%q,"item_id":"i1","event_type":"view","ts":%q}`+"\n", user, ts)
}

const day = "2026-01-02T10:00:00Z"

// TestBadFiles imports what goes wrong with files, as a user would: the fault
// is named, the good rows count, the bad ones can be looked at.
func TestBadFiles(t *testing.T) {
	skipShort(t)
	t.Parallel()
	d := start(t, shortDir(t))
	dir := shortDir(t)
	plain := "user_id,item_id,event_type,ts\n"
	for n := range 4000 {
		plain += fmt.Sprintf("u%d,i%d,view,2026-01-02 10:%02d:%02d\n", n, n*7919%997, n/60%60, n%60)
	}
	var packed bytes.Buffer
	gz := gzip.NewWriter(&packed)
	_, _ = gz.Write([]byte(plain))
	_ = gz.Close()
	half := func(s string) string { return s[:len(s)/2] }

	for _, c := range []struct {
		file, content string
		pack          func(*testing.T, string) string
		args          []string
		code          int
		want          []string
		counts        imported // of a fault midway or of exit 0
		letters       []letter
	}{
		{
			file: "cut.csv.gz", content: half(packed.String()), code: 1,
			want: []string{"import cut.csv.gz: truncated: the compressed data breaks off after line ", "hint: get the whole file and import it again"},
		},
		{
			file: "cut.csv.xz", content: plain, code: 1,
			pack: func(t *testing.T, s string) string { return half(compressXZ(t, s)) },
			want: []string{"import cut.csv.xz: truncated: the compressed data breaks off ", "hint: get the whole file and import it again"},
		},
		{
			file: "whole.csv", content: plain, counts: imported{Read: 4000, Accepted: 4000},
		},
		{
			file: "cut.csv", content: "user_id,item_id,event_type,ts\nk1,i1,view,2026-01-02 10:00:00\nk2,i1,view,2026-01-0",
			counts:  imported{Read: 2, Accepted: 1, Rejected: 1},
			letters: []letter{{Line: 3, Code: "invalid_ts", Detail: `ts "2026-01-0" is not a time; `}},
		},
		{
			file: "column.csv", content: plain, args: []string{"--map", "user_id=userid"}, code: 1,
			want: []string{`import column.csv: map user_id: no column "userid"; the columns are user_id, item_id, event_type, ts`, "hint: nearest column: user_id"},
		},
		{
			file: "where.csv", content: plain, args: []string{"--where", `itemid != ""`}, code: 1,
			want: []string{`import where.csv: where: no column "itemid"; the columns are user_id, `, "hint: nearest column: item_id"},
		},
		{
			file: "expression.csv", content: plain, args: []string{"--where", `item_id = "i1"`}, code: 2,
			want: []string{"import expression.csv: where: at character 9", "hint: "},
		},
		{
			file: "map.csv", content: plain, args: []string{"--map", "user_id:user_id"}, code: 2,
			want: []string{`map: "user_id:user_id" is not of the form field=Column`, "hint: such as: user_id="},
		},
		{
			file: "field.csv", content: plain, args: []string{"--map", "user=user_id"}, code: 2,
			want: []string{`map: unknown field "user"; the fields are user_id, `, "hint: nearest field: user_id"},
		},
		{
			file: "format.csv", content: plain, args: []string{"--format", "xls"}, code: 2,
			want: []string{`format must be csv, tsv or ndjson, not "xls"`, "hint: see: vitrine import --help"},
		},
		{
			file: "zone.csv", content: plain, args: []string{"--tz", "Mars/North"}, code: 2,
			want: []string{`tz: unknown time zone "Mars/North"`, "hint: a zone is written like Europe/Berlin"},
		},
		{
			file: "nouser.csv", content: "Customer,item_id,event_type\nu1,i1,view\n", code: 1,
			want: []string{`no column "user_id" and no mapping for it; the columns are Customer, item_id, event_type`, "hint: --map user_id=COLUMN"},
		},
		{
			file: "empty.csv", content: "", code: 1,
			want: []string{"import empty.csv: it is empty", "hint: look at how the file was written"},
		},
		{
			file: "header.csv", content: "user_id,item_id,event_type,ts\n", code: 1,
			want: []string{"import header.csv: it holds no rows", "hint: "},
		},
		{
			file: "long.ndjson", content: row("a1", day) + `{"user_id":"a2","item_id":"i1","event_type":"view","props":{"x":"` + strings.Repeat("y", 10<<20) + `"}}` + "\n" + row("a3", day),
			counts:  imported{Read: 3, Accepted: 2, Rejected: 1},
			letters: []letter{{Line: 2, Code: "too_large", Detail: "the row has more than 1048576 bytes"}},
		},
		{
			file: "bytes.ndjson", content: row("b1", day) + strings.Replace(row("b?", day), "?", "\xff", 1) + row("b3", day),
			counts:  imported{Read: 3, Accepted: 2, Rejected: 1},
			letters: []letter{{Line: 2, Code: "invalid_utf8", Detail: "user_id is not valid UTF-8"}},
		},
		{
			file: "user.ndjson", content: row("c1", day) + row("", day) + `{"item_id":"i1","event_type":"view"}` + "\n" + row("c4", day),
			counts: imported{Read: 4, Accepted: 2, Rejected: 2},
			letters: []letter{
				{Line: 2, Code: "missing_user_id", Detail: "user_id is missing"}, {Line: 3, Code: "missing_user_id", Detail: "user_id is missing"},
			},
		},
		{
			file: "dates.csv", content: "user_id,item_id,event_type,ts\nd1,i1,view,2026-01-02 10:00:00\nd2,i1,view,02.01.2026\nd3,i1,view,2026-13-45\n",
			counts: imported{Read: 3, Accepted: 1, Rejected: 2},
			letters: []letter{
				{Line: 3, Code: "invalid_ts", Detail: `ts "02.01.2026" is not a time; `}, {Line: 4, Code: "invalid_ts", Detail: `ts "2026-13-45" is not a time; `},
			},
		},
		{
			file: "type.ndjson", content: strings.Replace(row("e1", day), "view", "veiw", 1) + row("e2", day),
			counts:  imported{Read: 2, Accepted: 1, Rejected: 1},
			letters: []letter{{Line: 1, Code: "unknown_event_type", Detail: `event_type "veiw" is not configured; add it with its weight under [ingest.types]`}},
		},
		{
			file: "broken.ndjson", content: row("f1", day) + `{"user_id":"f2","item_id"` + "\n" + row("f3", day),
			counts:  imported{Read: 3, Accepted: 2, Rejected: 1},
			letters: []letter{{Line: 2, Code: "invalid_json", Detail: "at byte "}},
		},
		{
			file: "ragged.csv", content: "user_id,item_id,event_type,ts\ng1,i1,view\ng2,i1,view,2026-01-02 10:00:00\n",
			counts:  imported{Read: 2, Accepted: 1, Rejected: 1},
			letters: []letter{{Line: 2, Code: "invalid_row", Detail: "the row has 3 fields, the header has 4"}},
		},
	} {
		t.Run(c.file, func(t *testing.T) {
			path := filepath.Join(dir, c.file)
			if c.pack != nil {
				c.content = c.pack(t, c.content)
			}
			if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			r := vitrine(t, append([]string{"import", "--json", "--data", d.dir, path}, c.args...)...)
			r.err = strings.ReplaceAll(r.err, dir+"/", "")
			var got imported
			_ = json.Unmarshal([]byte(r.out), &got)
			if c.code != 0 {
				r.complains(t, c.code, append(c.want, c.file)...)
			} else if r.must(t); r.err != "" {
				t.Errorf("stderr of a success: %q", r.err)
			}
			if strings.HasPrefix(c.file, "cut.csv.") {
				// How many rows lie before the cut depends on the compression.
				if got.Read < 100 || got.Read >= 4000 || got.Accepted+got.Duplicate != got.Read || !strings.Contains(r.err, fmt.Sprintf("after line %d;", got.Read+1)) {
					t.Errorf("rows before the cut: %+v", got)
				}
				return
			}
			if got.Seconds = 0; c.file == "whole.csv" {
				// What came before the cuts is in already, the rest is new.
				got.Accepted, got.Duplicate = got.Accepted+got.Duplicate, 0
			}
			if got != c.counts {
				t.Errorf("counts %+v, want %+v", got, c.counts)
			}
			kept := d.letters(c.file)
			if len(kept) != len(c.letters) {
				t.Fatalf("dead letters %+v, want %+v", kept, c.letters)
			}
			for i, l := range c.letters {
				if kept[i].Line != l.Line || kept[i].Code != l.Code || !strings.HasPrefix(kept[i].Detail, l.Detail) {
					t.Errorf("dead letter %+v, want %+v", kept[i], l)
				}
			}
		})
	}
	vitrine(t, "import", "--data", d.dir, filepath.Join(dir, "none.csv")).complains(t, 1, "none.csv: there is no such file", "hint: the path counts from ")
	vitrine(t, "import", "--data", d.dir, dir).complains(t, 1, "it is a folder", "hint: name the files in it")
	rows := "user_id,item_id,event_type\nu1,i1,view\nu2,,view\n"
	piped := vitrineOn(t, strings.NewReader(rows), "import", "-", "--json", "--data", d.dir).must(t)
	if !strings.Contains(piped.out, `"accepted": 1`) || !strings.Contains(piped.out, `"rejected": 1`) {
		t.Errorf("import of standard input prints\n%s", piped.out)
	}
	d.send("POST", "/v1/events", "application/json", `{"item_id":"i1","event_type":"view"}`)
	text := vitrine(t, "deadletters", "list", "-n", "500", "--data", d.dir).must(t).out
	for _, line := range []string{`(?m)^\d+ +stdin-\S+ +3 +missing_item_id$`, `(?m)^\d+ +http +- +missing_user_id$`} {
		if !regexp.MustCompile(line).MatchString(text) {
			t.Errorf("no line like %s in\n%s", line, text)
		}
	}
	if !strings.Contains(text, "dates.csv") || !strings.Contains(text, "PLACE") {
		t.Errorf("deadletters list prints\n%s", text)
	}
	vitrine(t, "deadletters", "show", "12345", "--data", d.dir).complains(t, 1, `there is no dead letter "12345"`)
	d.stop()
}

// compressXZ packs text with the xz program; without one the test that needs
// it is skipped.
func compressXZ(t *testing.T, text string) string {
	t.Helper()
	// Small blocks, so that a cut file has whole ones before the cut.
	cmd := exec.Command("xz", "-c", "--block-size=16384")
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("no xz program to make a file with: %v", err)
	}
	return string(out)
}

// TestBadRequests sends broken events over HTTP.
func TestBadRequests(t *testing.T) {
	skipShort(t)
	t.Parallel()
	d := start(t, shortDir(t))
	const events, ndjson, plainJSON = "/v1/events", "application/x-ndjson", "application/json"
	long := `{"user_id":"a2","item_id":"i1","event_type":"view","props":{"x":"` + strings.Repeat("y", 10<<20) + `"}}`
	for _, c := range []struct {
		name, path, kind, body string
		code                   int
		want                   []string
	}{
		{"10 MB line", events, ndjson, row("a1", day) + long + "\n" + row("a3", day), 202, []string{`"accepted":2`, `"index":1,"code":"too_large"`}},
		{"invalid UTF-8", events, ndjson, row("b1", day) + strings.Replace(row("b?", day), "?", "\xff", 1), 202, []string{`"accepted":1`, `"index":1,"code":"invalid_utf8"`}},
		{"missing user", events, plainJSON, `[{"item_id":"i1","event_type":"view"},{"user_id":"c1","item_id":"i1","event_type":"view"}]`, 202, []string{`"accepted":1`, `"index":0,"code":"missing_user_id"`}},
		{"date that is none", events, ndjson, row("d1", "tomorrow"), 202, []string{`"accepted":0`, `"code":"invalid_ts"`}},
		{"no JSON", events, plainJSON, `{"user_id":`, 400, []string{`"code":"invalid_json"`, "byte 11"}},
		{"nothing", events, plainJSON, "", 400, []string{`"code":"`}},
		{"a form", events, "application/x-www-form-urlencoded", "user_id=u1", 415, []string{`"code":"unsupported_media_type"`, `"hint":"send the header Content-Type: application/json`}},
		{"no such path", "/v2/events", plainJSON, "{}", 404, []string{`"hint":"GET /openapi.json lists the paths`, `\"/v2/events\"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, body := d.send("POST", c.path, c.kind, c.body)
			if code != c.code {
				t.Errorf("status %d, want %d", code, c.code)
			}
			for _, w := range c.want {
				if !strings.Contains(body, w) {
					t.Errorf("no %q in %s", w, body)
				}
			}
		})
	}
	codes := d.letterCodes("http")
	for _, code := range []string{"too_large", "invalid_utf8", "missing_user_id", "invalid_ts"} {
		if codes[code] != 1 {
			t.Errorf("dead letters of HTTP: %v, want one %s", codes, code)
		}
	}
	for query, want := range map[string]string{"user_id=u&limit=0": "limit must be", "user_id=u&limt=5": "limt", "": "user_id"} {
		resp, err := http.Get(d.url + "/v1/recommend?" + query)
		if err != nil {
			t.Fatal(err)
		}
		var p struct{ Code, Detail string }
		_ = json.NewDecoder(resp.Body).Decode(&p)
		resp.Body.Close()
		if resp.StatusCode != 400 || p.Code == "" || !strings.Contains(p.Detail, want) {
			t.Errorf("?%s: %d %+v", query, resp.StatusCode, p)
		}
	}
	d.stop()
}

// serveFails starts a daemon that must not come up.
func serveFails(t *testing.T, dir string, args ...string) result {
	t.Helper()
	args = append([]string{"serve", "--data", dir, "--set", "http.listen=127.0.0.1:0", "--set", "http.admin_listen=127.0.0.1:0"}, args...)
	return vitrine(t, args...)
}

// TestBadPlaces starts the daemon where it cannot run.
func TestBadPlaces(t *testing.T) {
	skipShort(t)
	t.Parallel()
	d := start(t, shortDir(t))
	serveFails(t, d.dir).complains(t, 1,
		fmt.Sprintf("lock data folder: %s is in use by vitrine process %d", d.dir, d.cmd.Process.Pid), "hint: stop that process, or give this one another folder")
	var l list
	d.get("/v1/popular", &l) // the first one goes on

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, key := range []string{"http.listen", "http.admin_listen"} {
		serveFails(t, shortDir(t), "--set", key+"="+taken.Addr().String()).complains(t, 1,
			"listen on "+taken.Addr().String()+": bind: address already in use", "hint: another program listens there (another vitrine?); choose a free port: --set "+key+"=")
	}
	file := filepath.Join(shortDir(t), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	serveFails(t, file).complains(t, 1, "make data folder "+file+": not a directory", "hint: give another folder with --data DIR")
	closed := shortDir(t)
	if err := os.Chmod(closed, 0o555); err != nil {
		t.Fatal(err)
	}
	asNobody(t, "serve", "--data", closed, "--set", "http.listen=127.0.0.1:0", "--set", "http.admin_listen=127.0.0.1:0").complains(t, 1,
		"make data folder "+closed+": permission denied", "hint: give another folder with --data DIR, or run as a user who may write there")
	if os.Geteuid() == 0 { // the daemon's folder is root's then
		asNobody(t, "recommend", "u1", "--data", d.dir).complains(t, 1, "recommend: ", "admin.sock")
	}
	later := shortDir(t)
	if err := os.MkdirAll(filepath.Join(later, "state"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(later, "state", "format"), []byte(`{"format":2,"vitrine":"7.1"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	serveFails(t, later).complains(t, 1, later, "format 2, written by vitrine 7.1", "hint: run vitrine 7.1")
	deep := filepath.Join(shortDir(t), strings.Repeat("deep/", 24))
	serveFails(t, deep).complains(t, 1, "admin.sock", "hint: choose a shorter")
	d.stop()
}

// asNobody runs a command without root's rights, which no mode of a folder
// holds back.
func asNobody(t *testing.T, args ...string) result {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	if os.Geteuid() == 0 {
		if err := os.Chmod(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		cmd.Dir = "/"
	}
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	bind(cmd)
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return result{code: cmd.ProcessState.ExitCode(), out: out.String(), err: errOut.String()}
}

// smallShop loads a generated shop that trains in a moment.
func smallShop(t *testing.T, d *daemon) {
	t.Helper()
	dir := shortDir(t)
	if err := demo.WriteFiles(dir, demo.Config{Customers: 300, Items: 150, Events: 15000}); err != nil {
		t.Fatal(err)
	}
	vitrine(t, "import", "--data", d.dir, "--items", filepath.Join(dir, "items.ndjson")).must(t)
	vitrine(t, "import", "--data", d.dir, filepath.Join(dir, "events.ndjson")).must(t)
}

// TestCorruptBundle damages the live model while the daemon is stopped: the
// previous one serves, and the log says what to do. Without any good model the
// popular items are answered.
func TestCorruptBundle(t *testing.T) {
	skipShort(t)
	t.Parallel()
	dir := shortDir(t)
	d := start(t, dir)
	smallShop(t, d)
	var versions []string
	for range 2 {
		out := vitrine(t, "train", "--data", dir).must(t).out
		_, rest, _ := strings.Cut(out, "\nmodel ")
		version, _, ok := strings.Cut(rest, " is live")
		if !ok {
			t.Fatalf("train prints\n%s", out)
		}
		versions = append(versions, version)
	}
	user := "u1"
	for n, version := range slices.Backward(versions) {
		var l list
		if d.get("/v1/recommend?user_id="+user, &l); l.Model == nil || l.Model.Version != version {
			t.Fatalf("version %s does not serve: %+v", version, l)
		}
		d.stop()
		path := filepath.Join(dir, "models", version+".bundle")
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)/2] ^= 0x10
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		d = start(t, dir)
		for _, what := range []string{path, "is corrupt", "then run: vitrine train"} {
			d.says(what)
		}
		if _, err := os.Stat(path + ".corrupt"); err != nil {
			t.Errorf("the corrupt file is not kept: %v", err)
		}
		if n == 0 {
			if d.get("/v1/recommend?user_id="+user, &l); l.Source != "popular" || l.Reason != "no_model" || len(l.Items) != 20 {
				t.Errorf("without a model: %+v", l)
			}
		}
	}
	vitrine(t, "model", "rollback", "--data", dir).complains(t, 1, "model rollback: there is no previous model version", "hint: vitrine model list")
	d.stop()
}

// TestBadConfiguration: every fault at once, with file, line and nearest key.
func TestBadConfiguration(t *testing.T) {
	skipShort(t)
	t.Parallel()
	dir := shortDir(t)
	file := filepath.Join(dir, "vitrine.toml")
	if err := os.WriteFile(file, []byte("[http]\nlisen = \"127.0.0.1:1\"\n[recommend]\nlimit = 0\n[trian]\nrank = 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"vitrine: config: " + file + `:2: unknown key "http.lisen" (nearest key: http.listen)`,
		"vitrine: config: " + file + `:4: recommend.limit must be between 1 and 500`,
		"vitrine: config: " + file + `:5: unknown table [trian] (nearest key: train)`,
		`vitrine: config: --set log.levle=info: unknown key "log.levle" (nearest key: log.level)`,
	}, "\n") + "\n"
	for _, command := range []string{"serve", "train", "config check"} {
		r := vitrine(t, append(strings.Fields(command), "--config", file, "--set", "log.levle=info", "--data", dir)...)
		if r.code != 78 || r.err != want || r.out != "" {
			t.Errorf("%s: exit %d, stdout %q, stderr\n%swant\n%s", command, r.code, r.out, r.err, want)
		}
	}
	vitrine(t, "serve", "--data", dir, "--set", "http.listen=0.0.0.0:8080").complains(t, 78, "config: --set http.listen=0.0.0.0:8080: ", "loopback", "vitrine key new")
	vitrine(t, "config", "check", "--config", filepath.Join(dir, "none.toml")).complains(t, 78, "none.toml: cannot be read: no such file")
}

// TestNoDaemon: every command says how to start an appliance where there never
// was one, and makes none by a slip of the pen.
func TestNoDaemon(t *testing.T) {
	skipShort(t)
	t.Parallel()
	dir := filepath.Join(shortDir(t), "none")
	file := filepath.Join(t.TempDir(), "a.ndjson")
	if err := os.WriteFile(file, []byte(row("u1", day)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"import " + file, "train", "recommend u1", "similar i1", "eval", "model list", "model rollback", "plugin list", "deadletters list", "deadletters show 1"} {
		vitrine(t, append(strings.Fields(command), "--data", dir)...).complains(t, 1,
			": no appliance runs on "+dir, "hint: start it with: vitrine serve --data "+dir)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a command that only asks has made the data folder")
	}
}

// TestWrongCommandLine: exit 2, and where to look.
func TestWrongCommandLine(t *testing.T) {
	skipShort(t)
	t.Parallel()
	for line, want := range map[string][]string{
		"serve --dmeo":                 {"unknown flag: --dmeo", "hint: see: vitrine serve --help"},
		"serve now":                    {`serve takes no arguments, not "now"`, "hint: see: vitrine serve --help"},
		"servee":                       {`there is no command "servee"`, "hint: did you mean: vitrine serve"},
		"help moedl":                   {`there is no command "moedl"`, "hint: did you mean: vitrine model"},
		"model":                        {"model needs one of: list, ", "hint: see: vitrine model --help"},
		"model lst":                    {`there is no command "model lst"`, "hint: did you mean: vitrine model list"},
		"completion tcsh":              {`there is no command "completion tcsh"`, "hint: did you mean: vitrine completion bash"},
		"import":                       {"import needs at least one FILE", "hint: see: vitrine import --help"},
		"import --items --users a":     {"--items and --users exclude each other"},
		"recommend":                    {"recommend takes exactly: USER", "hint: see: vitrine recommend --help"},
		"recommend u1 u2":              {"recommend takes exactly: USER"},
		"recommend u1 -n many":         {`invalid argument "many" for "-n, --number" flag`},
		"recommend u1 -n 0":            {"--number must be between 1 and 500"},
		"deadletters list --limit 501": {"--limit must be between 1 and 500"},
		"eval --k 0":                   {"--k must be between 1 and 500"},
		"version --data=":              {"--data needs a folder"},
	} {
		vitrine(t, strings.Fields(line)...).complains(t, 2, want...)
	}
}

// TestNothingToTrainOn: an appliance without events says what is missing.
func TestNothingToTrainOn(t *testing.T) {
	skipShort(t)
	t.Parallel()
	d := start(t, shortDir(t))
	vitrine(t, "train", "--data", d.dir).complains(t, 1, "train: model not published: the archive holds no interactions yet", "hint: load events first: vitrine import FILE")
	vitrine(t, "eval", "--data", d.dir).complains(t, 1, "eval: nothing to measure: the archive holds no interactions yet", "hint: load more events")
	if code, body := d.send("POST", "/v1/events", "application/json", `{"user_id":"u1","item_id":"i1","event_type":"view"}`); code != 202 {
		t.Fatalf("%d %s", code, body)
	}
	vitrine(t, "train", "--data", d.dir).complains(t, 1, "train: model not published: too little data to judge a model", "hint: ")
	d.stop()
	vitrine(t, "eval", "--data", d.dir).complains(t, 1, "eval: nothing to measure: ", "hint: load more events")
}

// TestInterrupt stops the filling of the demo shop as Ctrl-C does; a second
// start finishes it.
func TestInterrupt(t *testing.T) {
	skipShort(t)
	t.Parallel()
	var dir string
	until(t, "the filling is cut short", func() bool {
		dir = shortDir(t)
		return cutDemo(t, dir)
	})
	d := start(t, dir, "--demo")
	var l list
	if d.get("/v1/recommend?user_id="+demoUser(t, d), &l); l.Source != "live" {
		t.Errorf("after the second start: %+v", l)
	}
	d.stop()
	if n := len(archived(t, dir)); n == 0 {
		t.Error("no events in the archive")
	}
	total := 0
	for _, n := range archived(t, dir) {
		total += n
	}
	if total != demo.DefaultEvents {
		t.Errorf("%d events in the archive, want %d", total, demo.DefaultEvents)
	}
}

// cutDemo stops the filling of a demo shop some time after it began, and says
// whether there was something left to fill: it may have been quicker.
func cutDemo(t *testing.T, dir string) bool {
	t.Helper()
	mark := filepath.Join(dir, "state", "demo.json")
	d := launch(t, dir, "--demo")
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(mark); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the filling does not begin\n%s", d.err)
		}
	}
	time.Sleep(200 * time.Millisecond)
	d.stop()
	text, err := os.ReadFile(mark)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), `"done":true`) {
		return false
	}
	if out := d.out.String(); out != "" {
		t.Errorf("stopped while it filled the shop, it prints %q", out)
	}
	return true
}

// TestImportCutShort ends an import midway, once by Ctrl-C on the command and
// once because the daemon dies. The same import then brings the rest.
func TestImportCutShort(t *testing.T) {
	skipShort(t)
	t.Parallel()
	dir := shortDir(t)
	d := start(t, dir)
	const rows = 20000
	fifo := filepath.Join(shortDir(t), "rows.ndjson")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Skipf("no pipes on this file system: %v", err)
	}
	// send runs an import whose file stops after n rows, and then fn.
	send := func(n int, fn func(cmd *exec.Cmd, pipe *os.File)) result {
		path, err := binary()
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		cmd := exec.CommandContext(ctx, path, "import", "--json", "--data", dir, fifo)
		var out, errOut bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errOut
		bind(cmd)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		pipe, err := os.OpenFile(fifo, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if _, err := fmt.Fprintf(pipe, `{"user_id":"u%d","item_id":"i%d","event_type":"view","ts":%q}`+"\n", i, i%97, day); err != nil {
				t.Fatal(err)
			}
		}
		fn(cmd, pipe)
		_ = cmd.Wait()
		_ = pipe.Close() // where fn has not: the command gives up by itself
		return result{code: cmd.ProcessState.ExitCode(), out: out.String(), err: errOut.String()}
	}
	send(rows/2, func(cmd *exec.Cmd, _ *os.File) { _ = cmd.Process.Signal(os.Interrupt) }).complains(t, 1,
		"stopped before it was done", "hint: run the same import again")
	send(rows/2, func(_ *exec.Cmd, pipe *os.File) {
		d.kill()
		_ = pipe.Close()
	}).complains(t, 1,
		"the appliance went away during the import", "hint: look at its log, start it, and run the same import again")

	d = start(t, dir, "--set", "archive.commit_every=1s")
	whole := filepath.Join(shortDir(t), "rows.ndjson")
	var text strings.Builder
	for i := range rows {
		fmt.Fprintf(&text, `{"user_id":"u%d","item_id":"i%d","event_type":"view","ts":%q}`+"\n", i, i%97, day)
	}
	if err := os.WriteFile(whole, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	vitrine(t, "import", "--data", dir, whole).must(t)
	d.settle()
	found := archived(t, dir)
	for i := range rows {
		if n := found[fmt.Sprintf("u%d", i)]; n != 1 {
			t.Fatalf("row %d is %d times in the archive", i, n)
		}
	}
}
