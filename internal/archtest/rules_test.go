package archtest

import (
	"path"
	"strings"
	"testing"
)

// rule says what a package (and its sub-folders, unless a longer rule matches)
// may import. Own entries are folders of this module and cover their
// sub-folders when they end in "/...". Foreign entries are path prefixes.
type rule struct {
	pkg     string
	own     []string
	foreign []string
}

const anything = "*"

// rules is the table of docs/DESIGN.md. What is absent is forbidden; the
// standard library is free.
var rules = []rule{
	{pkg: "bridge/event", own: []string{"bridge/event/clock", "bridge/event/shape", "bridge/event/words"}},
	{pkg: "bridge/event/clock"},
	{pkg: "bridge/event/frames", own: []string{"bridge/event", "bridge/event/texts"}},
	{pkg: "bridge/event/shape", own: []string{"bridge/event/words"}},
	{pkg: "bridge/event/texts"},
	{pkg: "bridge/event/words"},
	{pkg: "als/dataset", own: []string{"als/internal/cores"}},
	{pkg: "als/internal/cores"},
	{pkg: "als/internal/f32", foreign: []string{"golang.org/x/sys/cpu"}},
	{pkg: "als/internal/keys"},
	{pkg: "appliance/frame"},
	{pkg: "appliance/scrape", foreign: []string{"github.com/prometheus/client_golang"}},
	{pkg: "internal/logkey"},
	{pkg: "internal/keyfile"},
	{pkg: "internal/expr"},
	{pkg: "internal/nearest"},
	{pkg: "internal/fields"},
	{pkg: "internal/disk"},
	{pkg: "internal/durable"},
	{pkg: "internal/parallel"},
	{pkg: "internal/pause"},
	{pkg: "als/internal/solve", own: []string{"als/internal/f32"}},
	{pkg: "als/model", own: []string{"als/internal/f32", "als/internal/solve", "als/dataset"}, foreign: []string{"golang.org/x/sys"}},
	{pkg: "als/topk", own: []string{"als/internal/f32", "als/internal/keys", "als/internal/solve", "als/dataset", "als/model"}},
	{pkg: "als/neighbors/tiles", own: []string{"als/internal/f32"}},
	{pkg: "als/neighbors/pairs", own: []string{"als/internal/keys", "als/dataset"}},
	{pkg: "als/neighbors/overlap", own: []string{"als/internal/f32", "als/internal/keys"}},
	{pkg: "als/neighbors/tuning", own: []string{"als/internal/cores", "als/neighbors"}},
	{pkg: "als/neighbors", own: []string{"als/internal/cores", "als/internal/f32", "als/internal/keys", "als/dataset", "als/model", "als/topk", "als/neighbors/overlap", "als/neighbors/pairs", "als/neighbors/tiles"}},
	{pkg: "als/eval", own: []string{"als/dataset", "als/model", "als/topk", "als/internal/f32", "als/internal/solve"}, foreign: []string{"gonum.org/v1/gonum"}},
	{pkg: "als", own: []string{"als/dataset", "als/model", "als/topk", "als/internal/f32", "als/internal/solve"}},
	{pkg: "bridge", own: []string{"bridge/event", "bridge/event/frames", "internal/fields", "internal/logkey"}},
	{pkg: "bridge/deadletter", own: []string{"bridge/event", "internal/durable", "internal/logkey"}},
	{pkg: "bridge/archive", own: []string{"bridge/archive/ids", "bridge/event", "bridge/parquet", "internal/durable", "internal/logkey", "internal/parallel", "internal/pause"}, foreign: []string{"golang.org/x/sys"}},
	{pkg: "bridge/archive/ids"},
	{pkg: "bridge/archive/parts", own: []string{"bridge/archive", "bridge/archive/ids", "bridge/parquet", "internal/parallel"}},
	{pkg: "bridge/archive/follow", own: []string{"bridge/archive", "bridge/event", "bridge/event/frames", "internal/logkey", "internal/pause"}},
	{pkg: "bridge/mirror", own: []string{"bridge/archive", "internal/durable", "internal/logkey"}},
	{pkg: "bridge/hdfs", own: []string{"bridge/mirror", "internal/disk", "internal/pause"}, foreign: []string{"github.com/colinmarc/hdfs/v2", "github.com/jcmturner/gokrb5/v8"}},
	{pkg: "bridge/webhdfs", own: []string{"bridge/mirror"}},
	{pkg: "bridge/redis", own: []string{"internal/keyfile"}, foreign: []string{"github.com/redis/go-redis/v9", "github.com/alicebob/miniredis/v2"}},
	{pkg: "appliance/publish", own: []string{"appliance/scrape", "bridge/event", "bridge/redis", "internal/logkey", "internal/pause"}},
	{pkg: "bridge/file", own: []string{"bridge/event", "bridge/file/format", "bridge/file/rowid", "bridge/file/stream", "bridge/file/strftime", "bridge/parquet", "internal/expr", "internal/nearest"}},
	{pkg: "bridge/file/format", own: []string{"bridge/file/stream"}},
	{pkg: "bridge/file/rowid", own: []string{"bridge/event"}},
	{pkg: "bridge/file/strftime"},
	{pkg: "bridge/file/stream", foreign: []string{"github.com/klauspost/compress", "github.com/therootcompany/xz"}},
	{pkg: "bridge/parquet/tables", foreign: []string{"github.com/parquet-go/parquet-go"}},
	{pkg: "bridge/parquet", own: []string{"bridge", "bridge/event", "internal/logkey"}, foreign: []string{"github.com/parquet-go/parquet-go"}},
	{pkg: "bridge/kafka/fetch", foreign: []string{"github.com/twmb/franz-go"}},
	{pkg: "bridge/kafka/fault"},
	{pkg: "bridge/kafka/schema", own: []string{"bridge/event", "bridge/event/words", "bridge/kafka/fault", "internal/keyfile"}, foreign: []string{"github.com/twmb/avro", "google.golang.org/protobuf"}},
	{pkg: "bridge/kafka/values", own: []string{"bridge/cloudevents", "bridge/deadletter", "bridge/event", "bridge/file", "bridge/kafka/fetch", "bridge/kafka/schema"}},
	{
		pkg: "bridge/kafka/flow", own: []string{"bridge", "bridge/deadletter", "bridge/event", "bridge/event/frames", "bridge/kafka/fetch", "bridge/kafka/values", "internal/pause"},
		foreign: []string{"github.com/twmb/franz-go"},
	},
	{
		pkg: "bridge/kafka", own: []string{"bridge", "bridge/event", "bridge/kafka/fault", "bridge/kafka/fetch", "bridge/kafka/flow", "bridge/kafka/values", "internal/keyfile", "internal/logkey", "internal/nearest", "internal/pause"},
		foreign: []string{"github.com/twmb/franz-go"},
	},
	{pkg: "bridge/cloudevents", own: []string{"bridge/event"}},
	{pkg: "bridge/jetstream", own: []string{"bridge", "bridge/event/frames", "internal/disk", "internal/durable", "internal/keyfile", "internal/logkey", "internal/pause"}, foreign: []string{"github.com/nats-io", "github.com/minio/highwayhash"}},
	{pkg: "appliance/signal", own: []string{"bridge/event"}},
	{pkg: "appliance/catalog", own: []string{"bridge/event", "bridge/event/frames", "appliance/signal", "appliance/frame", "internal/expr", "internal/fields", "internal/logkey"}},
	{pkg: "appliance/profile", own: []string{"bridge/event", "appliance/signal", "appliance/frame", "internal/expr", "internal/fields", "internal/logkey"}},
	{pkg: "appliance/state", own: []string{
		"bridge", "bridge/archive", "bridge/event", "bridge/parquet",
		"appliance/catalog", "appliance/profile", "appliance/signal", "internal/durable", "internal/logkey", "internal/pause",
	}},
	{pkg: "appliance/rules", own: []string{"appliance/frame", "internal/durable", "internal/expr", "internal/nearest"}},
	{pkg: "appliance/recommend", own: []string{"appliance/recommend/...", "appliance/frame", "appliance/rules", "internal/expr", "internal/nearest", "als/model", "als/topk", "als/neighbors", "als/neighbors/..."}},
	{
		pkg: "appliance/pluginhost", own: []string{"appliance/frame", "appliance/pluginhost/breaker", "appliance/pluginhost/child", "appliance/pluginhost/guard", "appliance/pluginhost/sandbox", "sdk/abi", "internal/disk", "internal/logkey", "internal/nearest"},
		foreign: []string{"github.com/tetratelabs/wazero", "github.com/fsnotify/fsnotify", "github.com/pelletier/go-toml/v2"},
	},
	{pkg: "appliance/pluginhost/breaker"},
	{pkg: "appliance/pluginhost/child"},
	{pkg: "appliance/pluginhost/guard"},
	{
		pkg: "appliance/bench", own: []string{"appliance/...", "bridge/...", "als/...", "bridge", "als", "sdk/abi", "internal/disk", "internal/expr", "internal/logkey", "internal/pause"},
		foreign: []string{"github.com/HdrHistogram/hdrhistogram-go", "gonum.org/v1/gonum"},
	},
	{pkg: "appliance/admit"},
	{pkg: "appliance/access", own: []string{"internal/durable", "internal/logkey"}},
	{pkg: "appliance/registry", own: []string{"als/model", "als/neighbors", "als/neighbors/...", "internal/durable", "internal/logkey"}},
	{
		pkg: "appliance/trainer",
		own: []string{
			"als", "als/dataset", "als/model", "als/topk", "als/eval", "als/neighbors", "als/neighbors/...", "appliance/trainer/...", "appliance/signal", "appliance/registry",
			"bridge/archive", "bridge/archive/parts", "bridge/parquet", "bridge/file", "bridge/event", "internal/logkey", "internal/pause",
		},
	},
	{
		pkg: "appliance/httpapi", own: []string{"appliance/access", "appliance/admit", "bridge/event", "internal/logkey", "appliance/httpapi/..."},
		foreign: []string{"github.com/labstack/echo/v4", "github.com/oapi-codegen/runtime"},
	},
	{
		pkg: "appliance/httpapi/intake", own: []string{
			"appliance/admit", "appliance/httpapi/entities", "appliance/httpapi/letters", "appliance/httpapi/wire", "bridge/cloudevents", "bridge/event", "internal/logkey",
		},
		foreign: []string{"github.com/labstack/echo/v4"},
	},
	{pkg: "appliance/httpapi/letters", own: []string{"appliance/httpapi/adminapi", "appliance/httpapi/entities", "appliance/httpapi/wire", "bridge/deadletter"}, foreign: []string{"github.com/labstack/echo/v4"}},
	{pkg: "appliance/answer", own: []string{"appliance/httpapi", "appliance/recommend", "internal/expr"}},
	{pkg: "appliance/rulebook", own: []string{"appliance/httpapi", "appliance/httpapi/adminapi", "appliance/recommend", "appliance/rules", "internal/logkey"}},
	{pkg: "appliance/systemd"},
	{pkg: "appliance/datadir", own: []string{"internal/disk", "internal/durable"}},
	{pkg: "appliance/upkeep", own: []string{"appliance/scrape", "bridge/archive", "bridge/archive/compact", "bridge/deadletter", "internal/durable", "internal/logkey", "internal/pause"}},
	{pkg: "appliance/export/table", own: []string{"bridge/event", "bridge/parquet/tables", "internal/durable"}},
	{pkg: "appliance/export", own: []string{"appliance/httpapi", "appliance/httpapi/adminapi", "bridge/archive", "bridge/event", "bridge/parquet"}},
	{pkg: "appliance/backup", own: []string{"appliance/datadir", "bridge/archive", "bridge/mirror", "internal/durable"}},
	{
		pkg: "appliance/metrics", own: []string{"appliance/httpapi", "appliance/pluginhost", "appliance/pluginhost/sandbox", "appliance/recommend/pace", "appliance/registry", "appliance/trainer"},
		foreign: []string{"github.com/prometheus/client_golang"},
	},
	{pkg: "appliance/jobs", own: []string{
		"appliance/config", "appliance/httpapi", "appliance/httpapi/adminapi", "appliance/metrics", "appliance/models", "appliance/registry", "appliance/signal",
		"appliance/trainer", "appliance/trainer/offline", "bridge", "bridge/archive", "bridge/archive/follow", "internal/logkey",
	}},
	{pkg: "appliance/ladder", own: []string{
		"appliance/admit", "appliance/answer", "appliance/httpapi", "appliance/httpapi/publicapi", "appliance/httpapi/wire", "appliance/kept",
		"appliance/recommend", "appliance/recommend/pace", "internal/logkey", "internal/pause",
	}},
	{pkg: "appliance/models", own: []string{"appliance/httpapi", "appliance/httpapi/adminapi", "appliance/registry", "appliance/trainer"}},
	{pkg: "appliance/client", foreign: []string{"github.com/oapi-codegen/runtime"}},
	{pkg: "appliance/demo", own: []string{"bridge/event"}},
	{pkg: "appliance/demo/fill", own: []string{"appliance/datadir", "appliance/demo", "appliance/httpapi/adminapi", "bridge", "bridge/event"}},
	{pkg: "appliance/config", own: []string{"appliance/...", "bridge/...", "als/...", "bridge", "internal/disk", "internal/nearest"}, foreign: []string{"github.com/pelletier/go-toml/v2"}},
	{pkg: "appliance/topics", own: []string{
		"appliance/httpapi/adminapi", "appliance/scrape", "bridge", "bridge/archive", "bridge/deadletter", "bridge/event", "bridge/kafka", "internal/durable", "internal/logkey",
	}, foreign: []string{"github.com/prometheus/client_golang"}},
	{pkg: "appliance/copies", own: []string{
		"appliance/config", "appliance/httpapi/adminapi", "appliance/scrape", "bridge/archive", "bridge/hdfs", "bridge/mirror", "bridge/webhdfs", "internal/keyfile", "internal/logkey",
	}},
	{
		pkg: "appliance/pipeline", own: []string{
			"appliance/config", "appliance/copies", "appliance/httpapi/adminapi", "appliance/scrape", "appliance/topics",
			"bridge", "bridge/archive", "bridge/archive/follow", "bridge/deadletter", "bridge/jetstream", "bridge/kafka", "bridge/mirror",
		},
		foreign: []string{"github.com/prometheus/client_golang"},
	},
	{pkg: "appliance/served", own: []string{"appliance/httpapi", "bridge/event", "internal/logkey"}, foreign: []string{"github.com/prometheus/client_golang"}},
	{pkg: "appliance/kept", own: []string{"appliance/httpapi"}},
	{pkg: "appliance/replay", own: []string{
		"appliance/catalog", "appliance/httpapi", "appliance/httpapi/adminapi", "bridge/cloudevents", "bridge/deadletter", "bridge/event", "bridge/file", "bridge/kafka/values",
	}},
	{pkg: "appliance", own: []string{"appliance/...", "bridge/...", "als/...", "bridge", "als", "internal/disk", "internal/expr", "internal/logkey", "internal/pause"}},
	{pkg: "cmd/vitrine", own: []string{"cmd/vitrine/...", "appliance/access", "appliance/bench", "appliance/bench/gap", "appliance/client", "appliance/config", "appliance/demo", "internal/disk"}, foreign: []string{"github.com/spf13/cobra"}},
	{pkg: "cmd/vitrine/cli", own: []string{"appliance", "appliance/client", "appliance/config"}, foreign: []string{"github.com/spf13/cobra"}},
	{pkg: "cmd/vitrine/copies", own: []string{"cmd/vitrine/cli", "cmd/vitrine/progress", "appliance", "appliance/backup", "appliance/client"}, foreign: []string{"github.com/spf13/cobra"}},
	{pkg: "cmd/vitrine/exports", own: []string{"cmd/vitrine/cli", "cmd/vitrine/progress", "appliance", "appliance/client", "appliance/export/table", "appliance/publish"}, foreign: []string{"github.com/spf13/cobra"}},
	{pkg: "cmd/vitrine/intake", own: []string{"cmd/vitrine/cli", "cmd/vitrine/progress", "appliance/client", "internal/disk"}, foreign: []string{"github.com/spf13/cobra"}},
	{pkg: "cmd/vitrine/lists", own: []string{"cmd/vitrine/cli", "appliance/client"}, foreign: []string{"github.com/spf13/cobra"}},
	{pkg: "cmd/vitrine/manual", foreign: []string{"github.com/spf13/cobra", "github.com/spf13/pflag"}},
	{pkg: "cmd/vitrine/plugins", own: []string{"cmd/vitrine/cli", "cmd/vitrine/progress", "appliance/client", "appliance/pluginhost", "internal/disk"}, foreign: []string{"github.com/spf13/cobra"}},
	{pkg: "cmd/vitrine/progress", foreign: []string{"golang.org/x/term"}},
	{pkg: "cmd/vitrine/service", own: []string{"appliance", "appliance/client", "appliance/config", "appliance/systemd"}},
	{pkg: "cmd/vitrine/setup", own: []string{"cmd/vitrine/cli", "appliance", "appliance/client", "appliance/config", "installer/..."}, foreign: []string{"github.com/spf13/cobra"}},
	{pkg: "cmd/vitrine/top", own: []string{"cmd/vitrine/cli", "appliance/client"}, foreign: []string{"github.com/spf13/cobra", "golang.org/x/term"}},
	{pkg: "cmd/vitrine/training", own: []string{"cmd/vitrine/cli", "cmd/vitrine/progress", "appliance/client", "appliance/jobs", "appliance/trainer/offline", "internal/disk"}, foreign: []string{"github.com/spf13/cobra"}},
	{pkg: "installer/words"},
	{pkg: "installer", own: []string{"installer/...", "appliance/client", "appliance/config", "bridge/kafka", "bridge/kafka/schema", "bridge/kafka/values", "internal/disk"}},
	{pkg: "rpm"},
	{pkg: "internal/archtest", own: []string{anything}, foreign: []string{anything}},
	{pkg: "internal/realservers"},
	{pkg: "internal/pyreaders"},
	{pkg: "internal/quality", own: []string{anything}, foreign: []string{anything}},
	{pkg: "internal/docs", own: []string{anything}, foreign: []string{anything}},
	{pkg: "internal/e2e", own: []string{anything}, foreign: []string{anything}},
}

// ruleFor finds the rule with the longest folder that holds pkg.
func ruleFor(pkg string) (rule, bool) {
	for dir := pkg; dir != "."; dir = path.Dir(dir) {
		for _, r := range rules {
			if r.pkg == dir {
				return r, true
			}
		}
	}
	return rule{}, false
}

func allowedOwn(r rule, pkg, imported string) bool {
	if strings.HasPrefix(pkg+"/", r.pkg+"/") && pkg != r.pkg && strings.HasPrefix(imported+"/", r.pkg+"/") {
		return true // the sub-folders of one row may share code
	}
	for _, own := range r.own {
		if own == anything || own == imported {
			return true
		}
		if tree, ok := strings.CutSuffix(own, "/..."); ok && strings.HasPrefix(imported, tree+"/") {
			return true
		}
	}
	return false
}

func allowedForeign(r rule, imported string) bool {
	for _, f := range r.foreign {
		if f == anything || imported == f || strings.HasPrefix(imported, f+"/") {
			return true
		}
	}
	return false
}

// TestImports fails on every import that the table does not allow.
func TestImports(t *testing.T) {
	for _, f := range sources(t) {
		if f.test {
			continue // tests may use oracles and fakes
		}
		r, ok := ruleFor(f.pkg)
		if !ok {
			t.Errorf("%s: package %s has no row in the rules table (internal/archtest/rules_test.go)", f.name, f.pkg)
			continue
		}
		for _, spec := range f.ast.Imports {
			imported := strings.Trim(spec.Path.Value, `"`)
			first, _, _ := strings.Cut(imported, "/")
			switch {
			case imported == "vitrine" || strings.HasPrefix(imported, "vitrine/"):
				if own := strings.TrimPrefix(imported, "vitrine/"); !allowedOwn(r, f.pkg, own) {
					t.Errorf("%s: package %s must not import %s", f.name, f.pkg, own)
				}
			case strings.Contains(first, "."):
				if !allowedForeign(r, imported) {
					t.Errorf("%s: package %s is not the door of %s", f.name, f.pkg, imported)
				}
			}
		}
	}
}

// TestRulesBite proves that the check can fail.
func TestRulesBite(t *testing.T) {
	r, _ := ruleFor("als/model")
	if allowedOwn(r, "als/model", "bridge/event") {
		t.Error("als/model may import bridge/event")
	}
	if allowedForeign(r, "github.com/nats-io/nats.go") {
		t.Error("als/model may import nats.go")
	}
	if r, _ := ruleFor("appliance/httpapi/public"); r.pkg != "appliance/httpapi" {
		t.Errorf("rule for appliance/httpapi/public is %q", r.pkg)
	}
}
