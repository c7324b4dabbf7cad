// Package rulebook holds the business rules of a running appliance: in force in
// the engine, kept in their folder, and spoken of in the terms of the HTTP layer.
//
// It owns the words of what is refused. It may import httpapi, recommend and
// rules, and must not know the parts behind the engine.
//
//	book, err := rulebook.Open(rulebook.Options{Dir: dir, Engine: engine, Shop: catalog, Now: time.Now})
//	set, err := book.SetRules(body, false, hold)
package rulebook

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"vitrine/appliance/httpapi"
	"vitrine/appliance/httpapi/adminapi"
	"vitrine/appliance/recommend"
	"vitrine/appliance/rules"
	"vitrine/internal/logkey"
)

// Options say what rules stand on. All but Log are needed.
type Options struct {
	// Dir is the folder that the rules are kept in.
	Dir    string
	Engine *recommend.Engine
	// Shop compiles the conditions of rules.
	Shop rules.Shop
	Now  func() time.Time
	Log  *slog.Logger
}

// Book is the business rules. It may be used concurrently.
type Book struct {
	store  *rules.Store
	engine *recommend.Engine
	shop   rules.Shop
	shown  rules.Shown
	now    func() time.Time

	mu  sync.Mutex
	set rules.Set
	// version is that of set, for those who do not want to wait.
	version atomic.Int64
}

// Open puts the rules of the folder into force. Those that have become faulty,
// because a scene of the configuration is gone, are left out and told.
func Open(opt Options) (*Book, error) {
	store, err := rules.Open(opt.Dir)
	if err != nil {
		return nil, err
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	b := &Book{store: store, engine: opt.Engine, shop: opt.Shop, now: opt.Now}
	if b.set, err = store.Load(); err != nil {
		return nil, err
	}
	sound := b.set.Rules
	for {
		body, err := json.Marshal(map[string]any{"rules": sound})
		if err != nil {
			return nil, fmt.Errorf("read rules: %w", err)
		}
		_, plans, err := b.compile(body)
		if err == nil {
			b.enforce(b.set, plans)
			return b, nil
		}
		var faults rules.Faults
		if !errors.As(err, &faults) || faults[0].Rule == 0 {
			return nil, fmt.Errorf("read rules: %w", err)
		}
		opt.Log.Error("rule left out", logkey.Error, faults[0].Error())
		sound = slices.Delete(slices.Clone(sound), faults[0].Rule-1, faults[0].Rule)
	}
}

// enforce puts a set into force.
func (b *Book) enforce(set rules.Set, plans *rules.Plans) {
	b.set = set
	b.engine.SetRules(plans)
	version := set.Version
	if len(set.Rules) == 0 {
		version = 0
	}
	b.version.Store(int64(version))
}

// Version is that of the rules in force; 0 without any. It never waits.
func (b *Book) Version() int { return int(b.version.Load()) }

// compile reads a document of rules and makes them ready.
func (b *Book) compile(body []byte) ([]rules.Rule, *rules.Plans, error) {
	list, faults := rules.Parse(body, b.engine.SceneNames())
	plans, err := rules.Compile(list, faults, b.shop, &b.shown)
	return list, plans, err
}

// Rules implements httpapi.Rules.
func (b *Book) Rules(version int) (set adminapi.RuleSet, inForce int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	wanted := b.set
	if version != 0 && version != b.set.Version {
		wanted, err = b.store.At(version)
	}
	if errors.Is(err, rules.ErrNoVersion) {
		return set, 0, &httpapi.Problem{
			Status: http.StatusNotFound, Code: "unknown_version", Detail: fmt.Sprintf("there is no version %d of the rules", version),
			Hint: fmt.Sprintf("%d is in force, and the nine before it are kept", b.set.Version),
		}
	}
	if err != nil {
		return set, 0, err
	}
	set, err = ruleSet(wanted)
	return set, b.set.Version, err
}

// SetRules implements httpapi.Rules.
func (b *Book) SetRules(body []byte, check bool, hold func(version int) error) (adminapi.RuleSet, error) {
	list, plans, err := b.compile(body)
	if err != nil {
		return adminapi.RuleSet{}, ruleProblem(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := hold(b.set.Version); err != nil {
		return adminapi.RuleSet{}, err
	}
	if check {
		return ruleSet(rules.Set{Rules: list})
	}
	set, err := b.store.Save(list, b.now())
	if err != nil {
		return adminapi.RuleSet{}, err
	}
	b.enforce(set, plans)
	return ruleSet(set)
}

// ruleSet is a set in the API's terms.
func ruleSet(set rules.Set) (adminapi.RuleSet, error) {
	out := adminapi.RuleSet{Version: set.Version, Rules: []map[string]any{}}
	if !set.ChangedAt.IsZero() {
		out.ChangedAt = set.ChangedAt.Format(time.RFC3339)
	}
	body, err := json.Marshal(set.Rules)
	if err == nil {
		err = json.Unmarshal(body, &out.Rules)
	}
	if err != nil {
		return out, fmt.Errorf("write rules: %w", err)
	}
	return out, nil
}

// ruleProblem lists every fault.
func ruleProblem(err error) error {
	var faults rules.Faults
	if !errors.As(err, &faults) {
		return err
	}
	p := &httpapi.Problem{
		Status: http.StatusBadRequest, Code: "invalid_rules", Detail: faults.Error(), Position: faults[0].Position,
		Hint: "nothing was changed; /openapi.json has the fields of each action under Rule",
	}
	for _, f := range faults {
		p.Faults = append(p.Faults, adminapi.Fault{Rule: f.Rule, Field: f.Field, Detail: f.Detail, Position: f.Position})
	}
	return p
}
