// Package config turns TOML files and --set flags into one checked Config.
//
// It owns the names, types, defaults and descriptions of every key (the table
// in keys.go, from which decoding, "config show" and the annotated sample are
// all made), and reports every fault at once with file and line. Parts do not
// know config: the composition root hands each part its own options. It may
// import any part that it configures, and the TOML library, nothing else.
package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"vitrine/als/neighbors/tables"
	"vitrine/appliance/recommend"
	"vitrine/bridge/kafka/values"
)

// Config is the effective configuration. It is not changed after Load.
type Config struct {
	Data        Data
	HTTP        HTTP
	Auth        Auth
	Ingest      Ingest
	Kafka       Kafka
	Bus         Bus
	Archive     Archive
	Redis       Redis
	Train       Train
	Recommend   Recommend
	Plugins     Plugins
	DeadLetters DeadLetters
	Compat      Compat
	Log         Log
}

// Data says where everything is kept.
type Data struct{ Dir string }

// HTTP configures the two listeners.
type HTTP struct {
	Listen      string
	AdminListen string
	// TLSCert and TLSKey are PEM files; both or none.
	TLSCert, TLSKey string
	MaxBody         int64
	// RateLimit is in requests a second and caller; 0 is none.
	RateLimit float64
}

// Auth says who may call the API.
type Auth struct{ KeysFile string }

// Ingest configures what is taken in.
type Ingest struct {
	DedupWindow time.Duration
	// Types maps an event type to its weight.
	Types map[string]float64
}

// Train configures the training runs. A zero number means "chosen by rule".
type Train struct {
	Preset         string
	Loss           string // "" is the preset's; see Train.Effective
	Biases         bool
	Schedule       time.Duration
	Rank           int
	Iterations     int
	Regularization float64
	Alpha          float64
	HalfLife       time.Duration
	History        int
	// Memory is in bytes; 0 is what the machine has.
	Memory int64
	Tune   int
}

// The presets of the training.
const (
	PresetDefault = "default"
	// PresetArticle trains as the article does: explicit ALS on the count of a
	// user's events with an item, 20 iterations, regularization 0.1 and, as
	// Spark MLlib has it by default, rank 10.
	PresetArticle = "article"
)

// The losses of the training.
const (
	LossImplicit = "implicit"
	LossExplicit = "explicit"
)

// Effective is the training with what the preset chooses filled in; what is set
// beside the preset stays.
func (t Train) Effective() Train {
	if t.Preset != PresetArticle {
		if t.Loss == "" {
			t.Loss = LossImplicit
		}
		return t
	}
	t.Loss = LossExplicit
	if t.Rank == 0 {
		t.Rank = 10
	}
	if t.Iterations == 0 {
		t.Iterations = 20
	}
	if t.Regularization == 0 {
		t.Regularization = 0.1
	}
	return t
}

// MaxTune is the largest number of trials.
const MaxTune = 1000

// validate lists the faults of the values.
// minTrainMemory is what the program takes without any data, and some.
const minTrainMemory = 64 << 20

func (t Train) validate(check func(ok bool, key, format string, args ...any)) {
	check(oneOf(t.Preset, PresetDefault, PresetArticle), "train.preset", "must be default or article")
	check(oneOf(t.Loss, "", LossImplicit, LossExplicit), "train.loss", "must be implicit or explicit")
	check(t.Preset != PresetArticle || t.Loss != LossImplicit, "train.loss", `must be explicit with train.preset = "article"`)
	check(!t.Biases || t.Preset != PresetArticle, "train.biases", `must be false with train.preset = "article"`)
	check(!t.Biases || t.Effective().Loss == LossExplicit, "train.biases", `needs train.loss = "explicit": only ratings have biases`)
	check(t.Schedule == 0 || t.Schedule >= time.Minute, "train.schedule", `must be "off" or at least 1m`)
	check(t.Rank >= 0 && t.Rank <= 1024, "train.rank", "must be between 1 and 1024, or 0 for the rule's choice")
	check(t.Iterations >= 0 && t.Iterations <= 1000, "train.iterations", "must be between 1 and 1000, or 0 for the rule's choice")
	check(t.Regularization == 0 || t.Regularization >= 1e-9 && t.Regularization <= 1e6, "train.regularization", "must be between 1e-9 and 1000000, or 0 for the rule's choice")
	check(t.Alpha >= 0 && t.Alpha <= 1e6, "train.alpha", "must be between 0 and 1000000")
	check(t.HalfLife >= time.Hour, "train.half_life", "must be at least 1h")
	check(t.History >= 1 && t.History <= 100000, "train.history", "must be between 1 and 100000")
	check(t.Memory == 0 || t.Memory >= minTrainMemory, "train.memory", "must be at least 64MiB, or 0 for what the machine has")
	check(t.Tune >= 0 && t.Tune <= MaxTune, "train.tune", "must be between 0 and %d", MaxTune)
}

// Recommend configures the answers.
type Recommend struct {
	Limit       int
	ExcludeSeen bool
	// Blend are the weights of the sources; nil leaves them to training.
	Blend tables.Weights
	// New is what the new item that suits a visitor best weighs in a blend; nil
	// gives such items a tenth of the places.
	New *float32
	// Deadline is how long making a list may take.
	Deadline time.Duration
	// LogShare of the lists are kept in the archive, LogRate a second at most.
	LogShare float64
	LogRate  int
	// Scenes are "NAME=PRESET"; see Presets.
	Scenes []string
}

// Presets are the configured scenes with what their lists are made of.
func (r Recommend) Presets() map[string]string {
	out := make(map[string]string, len(r.Scenes))
	for _, scene := range r.Scenes {
		name, preset, _ := strings.Cut(scene, "=")
		out[strings.TrimSpace(name)] = strings.TrimSpace(preset)
	}
	return out
}

func (r Recommend) validate(check func(ok bool, key, format string, args ...any)) {
	check(r.Limit >= 1 && r.Limit <= 500, "recommend.limit", "must be between 1 and 500")
	check(r.LogShare >= 0 && r.LogShare <= 1, "recommend.log_share", "must be between 0 and 1")
	check(r.LogRate >= 1 && r.LogRate <= 10000, "recommend.log_rate", "must be between 1 and 10000; recommend.log_share=0 keeps none")
	for name, preset := range r.Presets() {
		check(name != "" && len(name) <= 64 && slices.Contains(recommend.Presets(), preset), "recommend.scenes",
			"%q: scenes look like checkout=cart; what a list is made of is one of %s", name+"="+preset, strings.Join(recommend.Presets(), ", "))
	}
}

// Plugins configures the sandboxed ranking plugins.
type Plugins struct {
	Dir    string
	Budget time.Duration
	// Candidates is how many they are shown.
	Candidates int
	Order      []string
}

// DeadLetters bounds what is kept of refused input.
type DeadLetters struct {
	MaxBytes int64
	MaxAge   time.Duration
}

// Compat switches old behaviours on.
type Compat struct{ EmptyForUnknown bool }

// Log configures the daemon's own log.
type Log struct{ Level, Format string }

// Default is the configuration without any file.
func Default() *Config {
	return &Config{
		HTTP:        HTTP{Listen: "127.0.0.1:8080", AdminListen: "127.0.0.1:8081", MaxBody: 32 << 20},
		Auth:        Auth{KeysFile: "keys.json"},
		Ingest:      Ingest{DedupWindow: 7 * 24 * time.Hour, Types: defaultTypes()},
		Kafka:       Kafka{Topic: "user-events", Group: "vitrine", Format: values.JSON},
		Bus:         defaultBus(),
		Archive:     defaultArchive(),
		Redis:       defaultRedis(),
		Train:       Train{Preset: PresetDefault, Schedule: time.Hour, HalfLife: 90 * 24 * time.Hour, History: 500},
		Recommend:   Recommend{Limit: 20, Deadline: 100 * time.Millisecond, LogShare: 1, LogRate: 100},
		Plugins:     Plugins{Dir: "plugins", Budget: 10 * time.Millisecond, Candidates: 200},
		DeadLetters: DeadLetters{MaxBytes: 256 << 20, MaxAge: 30 * 24 * time.Hour},
		Log:         Log{Level: "info", Format: "text"},
	}
}

func defaultTypes() map[string]float64 {
	return map[string]float64{
		"view": 1, "click": 1, "favorite": 2, "cart": 4, "purchase": 8,
		"impression": 0, "rating": 1,
	}
}

// PluginsDir is the plugins folder; a relative one lies in the data folder.
func (c *Config) PluginsDir() string { return c.inData(c.Plugins.Dir) }

// KeysPath is the key file; a relative one lies in the data folder.
func (c *Config) KeysPath() string { return c.inData(c.Auth.KeysFile) }

func (c *Config) inData(dir string) string {
	if filepath.IsAbs(dir) {
		return dir
	}
	return filepath.Join(c.Data.Dir, dir)
}

// problem is a fault of a value, before file and line are known.
type problem struct {
	key string
	err error
}

// validate lists what is wrong with values that have the right type.
func (c *Config) validate() []problem {
	var out []problem
	check := func(ok bool, key, format string, args ...any) {
		if !ok {
			out = append(out, problem{key: key, err: fmt.Errorf(format, args...)})
		}
	}
	out = append(out, c.validateHTTP()...)
	check(c.HTTP.MaxBody >= 1<<10, "http.max_body", "must be at least 1KiB")
	check(c.Ingest.DedupWindow > 0, "ingest.dedup_window", "must be positive")
	for name, w := range c.Ingest.Types {
		check(w >= 0 && w <= 1e6, "ingest.types."+name, "weight must be between 0 and 1000000")
		check(len(name) <= 64 && name != "", "ingest.types."+name, "an event type has 1 to 64 bytes")
		check(name != "remove", "ingest.types.remove", "has no weight of its own: it takes interactions back")
	}
	c.Kafka.validate(check)
	c.Bus.validate(check)
	c.Archive.validate(check)
	c.Redis.validate(check)
	c.Train.validate(check)
	c.Recommend.validate(check)
	if err := validateBlend(c.Recommend.Blend); err != nil {
		check(false, blendKey, "%w", err)
	}
	check(c.Recommend.New == nil || *c.Recommend.New >= 0 && *c.Recommend.New <= 1e6, blendKey+"."+blendNew, "must be between 0 and 1000000")
	check(c.Recommend.Deadline >= time.Millisecond && c.Recommend.Deadline <= 10*time.Second, "recommend.deadline", "must be between 1ms and 10s")
	check(c.Plugins.Dir != "", "plugins.dir", "must name a folder")
	check(c.Plugins.Budget >= time.Millisecond && c.Plugins.Budget <= time.Second, "plugins.budget", "must be between 1ms and 1s")
	check(c.Plugins.Candidates >= 1 && c.Plugins.Candidates <= 4096, "plugins.candidates", "must be between 1 and 4096")
	check(c.DeadLetters.MaxBytes >= 1<<20, "deadletters.max_bytes", "must be at least 1MiB")
	check(c.DeadLetters.MaxAge >= time.Hour, "deadletters.max_age", "must be at least 1h")
	check(oneOf(c.Log.Level, "debug", "info", "warn", "error"), "log.level", "must be debug, info, warn or error")
	check(oneOf(c.Log.Format, "text", "json"), "log.format", "must be text or json")
	return out
}

func oneOf(s string, allowed ...string) bool {
	for _, a := range allowed {
		if s == a {
			return true
		}
	}
	return false
}
