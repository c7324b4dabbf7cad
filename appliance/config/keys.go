package config

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"vitrine/internal/nearest"
)

// key is one configuration key: its name, what it means, and how its value is
// read and written. The sample, "config show" and decoding all come from here.
type key struct {
	name string
	doc  string
	// set stores a value written in TOML syntax or bare (from --set).
	set func(c *Config, v value) error
	// show gives the value in TOML syntax.
	show func(c *Config) string
	// isList is a key that takes an array.
	isList bool
}

// value is a scalar as it was written.
type value struct {
	text   string
	quoted bool // it was a TOML string
	// bare is true for --set, where a string needs no quotes.
	bare bool
	// list are the elements of an array; nil where it was none.
	list []string
}

const typesPrefix = "ingest.types."

// keys lists every key in the order of the sample.
func keys() []key {
	return slices.Concat([]key{
		text("data.dir", "Where everything is kept: bus, archive, models, state.", func(c *Config) *string { return &c.Data.Dir }),
		text("http.listen", "Address of the API. Without API keys (vitrine key new) it must be a loopback address.", func(c *Config) *string { return &c.HTTP.Listen }),
		text("http.admin_listen", "Address of metrics and health; the other admin routes need an admin key there, and none on <data>/admin.sock.", func(c *Config) *string { return &c.HTTP.AdminListen }),
		text("http.tls_cert", "PEM file of the certificate chain: the API then speaks HTTPS, and so does the admin listener beyond loopback. Read anew when it changes.", func(c *Config) *string { return &c.HTTP.TLSCert }),
		text("http.tls_key", "PEM file of the certificate's private key.", func(c *Config) *string { return &c.HTTP.TLSKey }),
		size("http.max_body", "Largest request body of the API.", func(c *Config) *int64 { return &c.HTTP.MaxBody }),
		number("http.rate_limit", "Requests a second that each key (without keys, each address) may make of the API; 0 is no limit. Beyond it: 429.", func(c *Config) *float64 { return &c.HTTP.RateLimit }),
		text("auth.keys_file", "File of the API keys' hashes; a relative one lies in the data folder. With a key in it the API answers nobody without one.", func(c *Config) *string { return &c.Auth.KeysFile }),
		duration("ingest.dedup_window", "How long an event_id is remembered, so that resending is harmless.", func(c *Config) *time.Duration { return &c.Ingest.DedupWindow }),
	}, kafkaKeys(), busKeys(), archiveKeys(), redisKeys(), []key{
		text("train.preset", `"default", or "article": the reference article's training, explicit ALS on counts of events, rank 10, 20 iterations, regularization 0.1.`, func(c *Config) *string { return &c.Train.Preset }),
		loss("train.loss", `"implicit" ranks; "explicit" predicts ratings: the value of a user's newest rating of an item, else how many events he has of it.`),
		boolean("train.biases", "Give an explicit model biases of users and items.", func(c *Config) *bool { return &c.Train.Biases }),
		schedule("train.schedule", `How often a new model is trained when there are new events, or "off".`, func(c *Config) *time.Duration { return &c.Train.Schedule }),
		integer("train.rank", "Number of factors; 0 chooses by rule.", func(c *Config) *int { return &c.Train.Rank }),
		integer("train.iterations", "ALS iterations, exact when set; 0 chooses by rule.", func(c *Config) *int { return &c.Train.Iterations }),
		number("train.regularization", "L2 regularization lambda; 0 chooses by rule.", func(c *Config) *float64 { return &c.Train.Regularization }),
		number("train.alpha", "How soon confidence saturates as interest in an item grows: small is nearly linear, large nearly flat; 0 chooses by rule.", func(c *Config) *float64 { return &c.Train.Alpha }),
		duration("train.half_life", "An event's weight halves in this time, counted back from the newest event.", func(c *Config) *time.Duration { return &c.Train.HalfLife }),
		integer("train.history", "Newest distinct items of a user that training and answers read.", func(c *Config) *int { return &c.Train.History }),
		integer("train.tune", "Settings that are tried on a part of the older events before a training; the best is kept until there is twice as much data. 0 takes what the rule chooses.", func(c *Config) *int { return &c.Train.Tune }),
		size("train.memory", "What a training may take; one that needs more is refused before it starts. 0 is what the machine has.", func(c *Config) *int64 { return &c.Train.Memory }),
		integer("recommend.limit", "Items in an answer when the request gives no limit.", func(c *Config) *int { return &c.Recommend.Limit }),
		blend(`"auto" mixes ALS with neighbours, transitions, sessions and popular items as training found best; "als" is ALS alone; or weights: { als = 1, similar = 0.3, transitions = 0.5, sessions = 0.2, popular = 0.1, trending = 0.1, new = 0.1 }. Sources that come in need a new training, but for new: items that no model knows yet, which without a weight have a tenth of the places.`),
		duration("recommend.deadline", "How long making a list may take; beyond it the user's last good list is answered, or popular items.", func(c *Config) *time.Duration { return &c.Recommend.Deadline }),
		boolean("recommend.exclude_seen", "Leave out what the user has already interacted with, unless the request says otherwise.", func(c *Config) *bool { return &c.Recommend.ExcludeSeen }),
		number("recommend.log_share", "Share of the answered lists that are kept in the archive under their request_id (served/), so that clicks can be joined to them; 0 is none.", func(c *Config) *float64 { return &c.Recommend.LogShare }),
		integer("recommend.log_rate", "Answered lists that are kept a second at most.", func(c *Config) *int { return &c.Recommend.LogRate }),
		names("recommend.scenes", "Further scenes, each with the built-in one that its lists are made like: checkout=cart. Built in: home, product, cart, buy-again, trending.", func(c *Config) *[]string { return &c.Recommend.Scenes }),
		text("plugins.dir", "Folder of the .wasm plugins; a relative one lies in the data folder.", func(c *Config) *string { return &c.Plugins.Dir }),
		duration("plugins.budget", "Time that all plugins together may take of one request; what no longer fits is skipped.", func(c *Config) *time.Duration { return &c.Plugins.Budget }),
		integer("plugins.candidates", "Best candidates that plugins are shown; more where they leave less than a page of them.", func(c *Config) *int { return &c.Plugins.Candidates }),
		names("plugins.order", "Plugins that run first, in this order; the others follow in file-name order.", func(c *Config) *[]string { return &c.Plugins.Order }),
		size("deadletters.max_bytes", "Kept refused input; beyond it the oldest is dropped and counted.", func(c *Config) *int64 { return &c.DeadLetters.MaxBytes }),
		duration("deadletters.max_age", "How long refused input is kept.", func(c *Config) *time.Duration { return &c.DeadLetters.MaxAge }),
		boolean("compat.empty_for_unknown", "GET /recommend answers {} for an unknown user, as the article does, instead of popular items.", func(c *Config) *bool { return &c.Compat.EmptyForUnknown }),
		text("log.level", "debug, info, warn or error.", func(c *Config) *string { return &c.Log.Level }),
		text("log.format", "text or json.", func(c *Config) *string { return &c.Log.Format }),
	})
}

// find returns the key of that name; every ingest.types.NAME is one.
func find(name string) (key, bool) {
	if eventType, ok := strings.CutPrefix(name, typesPrefix); ok && eventType != "" {
		return weight(eventType), true
	}
	if source, ok := strings.CutPrefix(name, blendKey+"."); ok && source != "" {
		return blendWeight(source), true
	}
	for _, k := range keys() {
		if k.name == name {
			return k, true
		}
	}
	return key{}, false
}

// weight is the key of one event type's weight.
func weight(eventType string) key {
	return key{
		name: typesPrefix + eventType,
		set: func(c *Config, v value) error {
			f, err := parseNumber(v)
			if err == nil {
				c.Ingest.Types[eventType] = f
			}
			return err
		},
		show: func(c *Config) string { return strconv.FormatFloat(c.Ingest.Types[eventType], 'g', -1, 64) },
	}
}

func text(name, doc string, at func(*Config) *string) key {
	return key{name: name, doc: doc, set: func(c *Config, v value) error {
		if !v.quoted && !v.bare {
			return fmt.Errorf("must be a string in quotes")
		}
		*at(c) = v.text
		return nil
	}, show: func(c *Config) string { return strconv.Quote(*at(c)) }}
}

// loss is shown as it takes effect: the preset chooses it where nothing is set.
func loss(name, doc string) key {
	k := text(name, doc, func(c *Config) *string { return &c.Train.Loss })
	k.show = func(c *Config) string { return strconv.Quote(c.Train.Effective().Loss) }
	return k
}

func names(name, doc string, at func(*Config) *[]string) key {
	return key{name: name, doc: doc, isList: true, set: func(c *Config, v value) error {
		switch {
		case v.list != nil:
			*at(c) = v.list
		case v.bare || v.quoted:
			*at(c) = splitList(v.text)
		default:
			return fmt.Errorf("must be an array of strings")
		}
		return nil
	}, show: func(c *Config) string {
		quoted := []string{}
		for _, s := range *at(c) {
			quoted = append(quoted, strconv.Quote(s))
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	}}
}

// numbers are whole ones, as of Java's int from 0 on.
func numbers(name, doc string, at func(*Config) *[]uint32) key {
	return key{name: name, doc: doc, isList: true, set: func(c *Config, v value) error {
		list, ok := v.list, v.list != nil
		if v.bare && !ok {
			list, ok = splitList(v.text), true
		}
		var out []uint32
		for _, s := range list {
			n, err := strconv.ParseUint(s, 10, 31)
			ok = ok && err == nil
			out = append(out, uint32(n))
		}
		if !ok {
			return fmt.Errorf("must be an array of whole numbers up to %d", math.MaxInt32)
		}
		*at(c) = out
		return nil
	}, show: func(c *Config) string { return strings.ReplaceAll(fmt.Sprint(*at(c)), " ", ", ") }}
}

func integer(name, doc string, at func(*Config) *int) key {
	return key{name: name, doc: doc, set: func(c *Config, v value) error {
		n, err := strconv.Atoi(strings.ReplaceAll(v.text, "_", ""))
		if err != nil || v.quoted {
			return fmt.Errorf("must be a whole number")
		}
		*at(c) = n
		return nil
	}, show: func(c *Config) string { return strconv.Itoa(*at(c)) }}
}

func parseNumber(v value) (float64, error) {
	f, err := strconv.ParseFloat(strings.ReplaceAll(v.text, "_", ""), 64)
	if err != nil || v.quoted || f != f {
		return 0, fmt.Errorf("must be a number")
	}
	return f, nil
}

func number(name, doc string, at func(*Config) *float64) key {
	return key{name: name, doc: doc, set: func(c *Config, v value) error {
		f, err := parseNumber(v)
		if err == nil {
			*at(c) = f
		}
		return err
	}, show: func(c *Config) string { return strconv.FormatFloat(*at(c), 'g', -1, 64) }}
}

func boolean(name, doc string, at func(*Config) *bool) key {
	return key{name: name, doc: doc, set: func(c *Config, v value) error {
		if v.quoted || (v.text != "true" && v.text != "false") {
			return fmt.Errorf("must be true or false")
		}
		*at(c) = v.text == "true"
		return nil
	}, show: func(c *Config) string { return strconv.FormatBool(*at(c)) }}
}

func duration(name, doc string, at func(*Config) *time.Duration) key {
	return key{name: name, doc: doc, set: func(c *Config, v value) error {
		d, err := parseDuration(v)
		if err == nil {
			*at(c) = d
		}
		return err
	}, show: func(c *Config) string { return strconv.Quote(formatDuration(*at(c))) }}
}

func schedule(name, doc string, at func(*Config) *time.Duration) key {
	k := duration(name, doc, at)
	set, show := k.set, k.show
	k.set = func(c *Config, v value) error {
		if v.text == "off" {
			*at(c) = 0
			return nil
		}
		if err := set(c, v); err != nil {
			return fmt.Errorf(`%w, or "off"`, err)
		}
		return nil
	}
	k.show = func(c *Config) string {
		if *at(c) == 0 {
			return `"off"`
		}
		return show(c)
	}
	return k
}

// parseDuration reads Go's durations and whole days ("7d").
func parseDuration(v value) (time.Duration, error) {
	if days, ok := strings.CutSuffix(v.text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n < 1e5 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(v.text)
	if err != nil {
		return 0, fmt.Errorf(`must be a duration such as "30s", "6h" or "7d"`)
	}
	return d, nil
}

func formatDuration(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = strings.TrimSuffix(s, zero[1:])
		}
	}
	return s
}

func size(name, doc string, at func(*Config) *int64) key {
	return key{name: name, doc: doc, set: func(c *Config, v value) error {
		n, err := parseBytes(v.text)
		if err == nil {
			*at(c) = n
		}
		return err
	}, show: func(c *Config) string {
		n, unit := *at(c), ""
		for _, u := range []string{"KiB", "MiB", "GiB"} {
			if n%1024 != 0 || n == 0 {
				break
			}
			n, unit = n/1024, u
		}
		if unit == "" {
			return strconv.FormatInt(n, 10)
		}
		return strconv.Quote(strconv.FormatInt(n, 10) + unit)
	}}
}

func parseBytes(s string) (int64, error) {
	digits := strings.TrimRight(s, "KMGTiB ")
	shift, ok := map[string]uint{"": 0, "B": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}[strings.TrimSpace(s[len(digits):])]
	n, err := strconv.ParseInt(strings.ReplaceAll(digits, "_", ""), 10, 64)
	if err != nil || !ok || n < 0 || n > 1<<62>>shift {
		return 0, fmt.Errorf(`must be a size such as "32MiB" or a number of bytes`)
	}
	return n << shift, nil
}

// nearestKey is the known key closest to name, or "".
func nearestKey(name string) string {
	candidates := make([]string, 0, 64)
	for _, k := range keys() {
		candidates = append(candidates, k.name)
	}
	for t := range defaultTypes() {
		candidates = append(candidates, typesPrefix+t)
	}
	sort.Strings(candidates)
	return nearest.Name(name, candidates)
}
