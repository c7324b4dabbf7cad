package appliance

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

// ruleBook holds the business rules: in force in the engine, kept in the
// store. It lets the HTTP layer speak to both.
type ruleBook struct {
	store  *rules.Store
	engine *recommend.Engine
	shop   rules.Shop
	shown  rules.Shown
	now    func() time.Time

	mu  sync.Mutex
	set rules.Set
	// version is that of set, for those who do not want to wait; 0 without rules.
	version atomic.Int64
}

// openRules puts the rules of the folder into force. Those that have become
// faulty, because a scene of the configuration is gone, are left out and told.
func openRules(dir string, engine *recommend.Engine, shop rules.Shop, now func() time.Time, log *slog.Logger) (*ruleBook, error) {
	store, err := rules.Open(dir)
	if err != nil {
		return nil, err
	}
	b := &ruleBook{store: store, engine: engine, shop: shop, now: now}
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
		log.Error("rule left out", logkey.Error, faults[0].Error())
		sound = slices.Delete(slices.Clone(sound), faults[0].Rule-1, faults[0].Rule)
	}
}

// enforce puts a set into force.
func (b *ruleBook) enforce(set rules.Set, plans *rules.Plans) {
	b.set = set
	b.engine.SetRules(plans)
	version := set.Version
	if len(set.Rules) == 0 {
		version = 0
	}
	b.version.Store(int64(version))
}

// compile reads a document of rules and makes them ready.
func (b *ruleBook) compile(body []byte) ([]rules.Rule, *rules.Plans, error) {
	list, faults := rules.Parse(body, b.engine.SceneNames())
	plans, err := rules.Compile(list, faults, b.shop, &b.shown)
	return list, plans, err
}

// Rules implements httpapi.Rules.
func (b *ruleBook) Rules() (adminapi.RuleSet, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return ruleSet(b.set)
}

// SetRules implements httpapi.Rules.
func (b *ruleBook) SetRules(body []byte, check bool) (adminapi.RuleSet, error) {
	list, plans, err := b.compile(body)
	if err != nil {
		return adminapi.RuleSet{}, ruleProblem(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
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
		Hint: "nothing was changed; check them with: vitrine rules check FILE",
	}
	for _, f := range faults {
		p.Faults = append(p.Faults, adminapi.Fault{Rule: f.Rule, Field: f.Field, Detail: f.Detail, Position: f.Position})
	}
	return p
}
