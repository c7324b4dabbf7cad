package e2e

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is the repository's folder, from which the README's lines are typed.
const root = "../.."

// readme gives the command lines of the sh blocks under a heading of README.md,
// each cut into words as a shell does, without comments.
func readme(t *testing.T, heading string) [][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("README.md has no section %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var out [][]string
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(section, -1) {
		for line := range strings.Lines(strings.ReplaceAll(block[1], "\\\n", " ")) {
			if w := words(t, line); len(w) > 0 {
				out = append(out, w)
			}
		}
	}
	if len(out) == 0 {
		t.Fatalf("the section %q of README.md has no command lines", heading)
	}
	return out
}

// words cuts a line at spaces outside quotes and drops a comment.
func words(t *testing.T, line string) []string {
	t.Helper()
	var out []string
	var word strings.Builder
	quote, begun := rune(0), false
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, begun = r, true
		case quote == 0 && r == '#' && !begun:
			return out
		case quote == 0 && (r == ' ' || r == '\n'):
			if begun {
				out = append(out, word.String())
			}
			word.Reset()
			begun = false
		case quote == 0 && strings.ContainsRune(`$|<>;()*?\`+"`", r):
			t.Fatalf("this test does not know what a shell makes of %q in %q", r, line)
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if quote != 0 {
		t.Fatalf("a quote is not closed in %q", line)
	}
	if begun {
		out = append(out, word.String())
	}
	return out
}

// curl does what a README line with curl does, against this daemon, and wants
// an answer of 2xx.
func (d *daemon) curl(line []string) string {
	d.t.Helper()
	method, url, body := "", "", ""
	header := http.Header{}
	for i := 1; i < len(line); i++ {
		switch line[i] {
		case "-X", "-H", "-d":
			if i++; i == len(line) {
				d.t.Fatalf("%q breaks off", line)
			}
			switch line[i-1] {
			case "-X":
				method = line[i]
			case "-d":
				body = line[i]
			default:
				name, value, _ := strings.Cut(line[i], ":")
				header.Set(name, strings.TrimSpace(value))
			}
		default:
			url = line[i]
		}
	}
	if method == "" {
		method = http.MethodGet
	}
	const api = "http://127.0.0.1:8080"
	if !strings.HasPrefix(url, api) {
		d.t.Fatalf("%q asks %q, which is not the default listener", line, url)
	}
	req, err := http.NewRequest(method, d.url+strings.TrimPrefix(url, api), strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header = header
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode/100 != 2 {
		d.t.Fatalf("%q: %s, %v\n%s", line, resp.Status, err, text)
	}
	return string(text)
}

// checkReadmeLines types the curl lines of "Ask" and "Tell" at a demo shop.
func checkReadmeLines(t *testing.T, d *daemon) {
	t.Helper()
	for _, line := range readme(t, "Ask") {
		answer := d.curl(line)
		url := line[1]
		switch {
		case strings.Contains(url, "/recommend?user_id") && !strings.Contains(url, "/v1/"):
			if strings.Count(answer, `"i`) < 20 {
				t.Errorf("%s answers %s", url, answer)
			}
		case !strings.Contains(url, "/v1/popular") && !strings.Contains(answer, `"source":"live"`),
			strings.Contains(url, "fields=name") && !strings.Contains(answer, `"name":"`),
			strings.Contains(url, "limit=5") && strings.Count(answer, `"rank"`) != 5:
			t.Errorf("%s answers %s", url, answer)
		}
	}
	for _, line := range readme(t, "Tell") {
		answer := d.curl(line)
		if !strings.Contains(answer, `"accepted":1`) && !strings.Contains(answer, `"item_id":"i12"`) {
			t.Errorf("%q answers %s", line, answer)
		}
	}
}

// TestReadmeStart looks whether the targets that the README starts with exist.
func TestReadmeStart(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range readme(t, "Start") {
		if len(line) != 2 || line[0] != "make" || !strings.Contains(string(makefile), "\n"+line[1]+":") {
			t.Errorf("README: %q is not a target of the Makefile", line)
		}
	}
}
