package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// measured is what vitrine eval --json prints.
type measured struct {
	Users, Items, Interactions int
	Models                     []struct {
		Name      string
		Published bool
		Metrics   map[string]float64
		Interval  map[string][2]float64
		Slices    map[string]struct{ Users int }
	}
	Seconds map[string]float64
	Options map[string]any
}

func evaluate(t *testing.T, args ...string) *measured {
	t.Helper()
	var m measured
	out := vitrine(t, append([]string{"eval", "--json"}, args...)...).must(t).out
	if err := json.Unmarshal([]byte(out), &m); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if len(m.Models) == 0 || m.Seconds["total"] == 0 || m.Options["split"] == nil {
		t.Fatalf("no models, time or options in %s", out)
	}
	return &m
}

func (m *measured) names() []string {
	var names []string
	for _, model := range m.Models {
		names = append(names, model.Name)
	}
	return names
}

// of is a metric of a model; NaN-free, so a missing one is a failure.
func (m *measured) of(t *testing.T, model, metric string) float64 {
	t.Helper()
	for _, of := range m.Models {
		if v, ok := of.Metrics[metric]; of.Name == model && ok {
			return v
		}
	}
	t.Fatalf("no %s of %s among %v", metric, model, m.names())
	return 0
}

// circles writes data in which users go round in one of several circles of
// items, in the forms that data sets have.
func circles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	random := rand.New(rand.NewPCG(3, 5))
	files := map[string]*strings.Builder{}
	add := func(name, format string, args ...any) {
		if files[name] == nil {
			files[name] = &strings.Builder{}
		}
		fmt.Fprintf(files[name], format, args...)
	}
	add("shop.csv", "user,thing,when,stars\n")
	for user := range 300 {
		circle, at := user%10, random.IntN(12)
		var walk []int
		for range 6 {
			walk = append(walk, 1+circle*12+at%12)
			at++
		}
		numbers := strings.Trim(fmt.Sprint(walk), "[]")
		add("lists.txt", "%d %s\n", user, numbers)
		add("train.txt", "%d %s\n", user, strings.Trim(fmt.Sprint(walk[:4]), "[]"))
		add("test.txt", "%d %s\n", user, strings.Trim(fmt.Sprint(walk[4:]), "[]"))
		add("sessions.txt", "%s\n", numbers)
		for n, item := range walk {
			stars := 1 + (user+circle)%3 + item%3
			add("u.data", "%d\t%d\t%d\t%d\n", user, item, stars, 900000000+1000*user+n)
			add("shop.csv", "%d,%d,2024-01-%02dT10:00:00Z,%d\n", user, item, 1+n, stars)
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestEvaluateFiles: data sets as they lie about, without any appliance.
func TestEvaluateFiles(t *testing.T) {
	skipShort(t)
	t.Parallel()
	dir := circles(t)
	path := func(name string) string { return filepath.Join(dir, name) }
	t.Run("given split", func(t *testing.T) {
		m := evaluate(t, "--train", path("train.txt"), "--test", path("test.txt"), "--k", "5")
		for _, name := range []string{"als", "blend", "popularity", "item-knn", "ease"} {
			if !slices.Contains(m.names(), name) {
				t.Errorf("no %s among %v", name, m.names())
			}
		}
		if als, popular := m.of(t, "als", "recall@20"), m.of(t, "popularity", "recall@20"); als < .9 || popular > .6 {
			t.Errorf("recall@20 of als %.3f, of popularity %.3f", als, popular)
		}
		for _, metric := range []string{"ndcg@5", "precision@10", "map@10", "mrr@20", "hit_rate@10", "coverage@10", "novelty@10", "popularity_share@10"} {
			m.of(t, "als", metric)
		}
		published := 0
		for _, model := range m.Models {
			if model.Published {
				published++
			}
			if i := model.Interval["ndcg@10"]; i[0] > i[1] || model.Slices["cold"].Users != 300 {
				t.Errorf("%s: interval %v, slices %v", model.Name, i, model.Slices)
			}
		}
		if published != 1 {
			t.Errorf("%d models would go live", published)
		}
	})
	t.Run("leave last out, seen items kept and masked", func(t *testing.T) {
		m := evaluate(t, "--events", path("lists.txt"), "--split", "leave-last-out", "--seen", "both")
		if blend, als := m.of(t, "blend", "ndcg@10"), m.of(t, "als", "ndcg@10"); blend < .7 || blend < als {
			t.Errorf("NDCG@10 of the blend %.3f, of als %.3f", blend, als)
		}
		if kept := m.of(t, "als-kept", "ndcg@10"); kept >= m.of(t, "als", "ndcg@10") {
			t.Errorf("seen items in the way: %.3f", kept)
		}
	})
	t.Run("sessions", func(t *testing.T) {
		m := evaluate(t, "--mode", "session", "--train", path("sessions.txt"), "--test", path("sessions.txt"))
		if knn := m.of(t, "session-knn", "hit_rate@20"); knn < .95 {
			t.Errorf("hit rate of session neighbours %.3f", knn)
		}
		m.of(t, "blend", "mrr@20")
	})
	t.Run("ratings", func(t *testing.T) {
		m := evaluate(t, "--mode", "explicit", "--split", "folds:3", "--events", path("u.data"))
		if rmse, bias := m.of(t, "als-biases", "rmse"), m.of(t, "bias", "rmse"); rmse > 1 || bias > 1 || m.of(t, "als", "mae") == 0 {
			t.Errorf("RMSE %.3f, of biases alone %.3f", rmse, bias)
		}
		mapped := evaluate(t, "--mode", "explicit", "--split", "folds:3", "--events", path("shop.csv"), "--map", "user_id=user,item_id=thing,ts=when,value=stars")
		if a, b := m.of(t, "als", "rmse"), mapped.of(t, "als", "rmse"); a != b {
			t.Errorf("RMSE %v, of the same data with a header %v", a, b)
		}
	})
	t.Run("time split", func(t *testing.T) {
		m := evaluate(t, "--events", path("shop.csv"), "--map", "user_id=user,item_id=thing,ts=when", "--ease-items", "0")
		if slices.Contains(m.names(), "ease") || m.Interactions != 1800 {
			t.Errorf("%v, %d interactions", m.names(), m.Interactions)
		}
	})
}

// TestEvaluateBadInput: what is wrong is named, with the exit code of its kind.
func TestEvaluateBadInput(t *testing.T) {
	skipShort(t)
	t.Parallel()
	dir := circles(t)
	file, hostile, empty := filepath.Join(dir, "shop.csv"), filepath.Join(dir, "h.parquet"), filepath.Join(dir, "empty.csv")
	for name, text := range map[string]string{hostile: "PAR1" + strings.Repeat("\xff", 300) + "\x20\x00\x00\x00PAR1", empty: ""} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"--events " + dir + "/none.csv", 1, "none.csv: there is no such file"},
		{"--events " + dir, 1, "it is a folder"},
		{"--events " + empty, 1, "empty.csv: it is empty"},
		{"--events " + hostile, 1, "h.parquet"},
		{"--events " + file, 1, `no column "user_id"`},
		{"--events " + file + " --map user_id=usr,item_id=thing", 1, "nearest column: user"},
		{"--events " + file + " --split weekly", 2, `--split "weekly"`},
		{"--events " + file + " --split folds:1", 2, "within 2..100"},
		{"--events " + file + " --seen none", 2, `--seen "none"`},
		{"--events " + file + " --mode both", 2, `--mode "both"`},
		{"--train " + file, 2, "belong together"},
		{"--train " + file + " --test " + file + " --events " + file, 2, "a split already"},
		{"--train " + file + " --test " + file + " --split time", 2, "does not apply"},
		{"--map user_id=u", 2, "name them by --events"},
		{"shop.csv", 2, "takes no arguments"},
	} {
		vitrine(t, append([]string{"eval", "--data", filepath.Join(dir, "data")}, strings.Fields(tt.args)...)...).complains(t, tt.code, tt.want)
	}
}
