package appliance

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"vitrine/als/model"
	"vitrine/als/neighbors"
	"vitrine/als/neighbors/tables"
	"vitrine/als/topk"
	"vitrine/appliance/config"
	"vitrine/appliance/frame"
	"vitrine/appliance/registry"
)

// walks are visits along a ring of items: what users touched, in order, by user,
// and the same as events.
func walks(users, visits int, from time.Time) (histories map[string][]string, events []string) {
	random := rand.New(rand.NewPCG(6, 6))
	histories = map[string][]string{}
	at := from.UnixMilli()
	for n := range users * visits {
		user := fmt.Sprint("w", n%users)
		place := random.IntN(60)
		at += 40 * 60_000
		for step := range 2 + random.IntN(3) {
			item := fmt.Sprint("i", (place+step*7)%60)
			if h := histories[user]; len(h) > 0 && h[len(h)-1] == item {
				continue
			}
			histories[user] = append(histories[user], item)
			events = append(events, eventJSON(user, item, "view", at+int64(step)*30_000, ""))
		}
	}
	return histories, events
}

// TestServedBlendIsTheOfflineRank: what the API answers is what als/neighbors
// ranks over the bundle for the history that was sent, also after a further
// event, which no training has seen.
func TestServedBlendIsTheOfflineRank(t *testing.T) {
	for name, weights := range map[string]tables.Weights{
		"auto":    nil,
		"weights": {tables.PartFactors: .5, tables.PartTransitions: 1, tables.PartSessions: .5, tables.PartTrending: .2},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, shortDir(t), func(c *config.Config) { c.Recommend.Blend = weights })
			histories, events := walks(40, 12, time.Now().Add(-30*24*time.Hour))
			r.post(events...)
			bundle, err := registry.Load(filepath.Join(r.dir, "models", r.trained()+".bundle"))
			if err != nil {
				t.Fatal(err)
			}
			o := newOfflineRank(t, bundle)
			for user, history := range histories {
				o.compare(r, user, history)
			}
			r.post(eventJSON("w3", "i30", "view", 0, ""))
			o.compare(r, "w3", append(histories["w3"], "i30"))
			r.close()
		})
	}
}

// offlineRank ranks with nothing but a bundle.
type offlineRank struct {
	t      *testing.T
	bundle *registry.Bundle
	blend  *neighbors.Blend
	folder *model.Folder
}

func newOfflineRank(t *testing.T, b *registry.Bundle) *offlineRank {
	t.Helper()
	sources, err := b.Sources.Sources()
	if err != nil {
		t.Fatal(err)
	}
	m := b.Model
	factors := &neighbors.Factors{Index: topk.New(m.Items, m.NumItems, m.Rank), Model: m}
	return &offlineRank{t, b, sources.Blend(b.Sources.Settings.User, factors), model.NewFolder(m)}
}

func (o *offlineRank) compare(r *rig, user string, history []string) {
	o.t.Helper()
	row := func(id string) uint32 { return uint32(slices.Index(o.bundle.ItemIDs, id)) }
	p := r.app.parts
	code, _ := p.catalog.UserCode(user)
	var taste frame.Frame
	p.profile.Weights(code, nil, o.bundle.Reference, &taste)
	var rows, order []uint32
	for _, item := range taste.Items {
		rows = append(rows, row(p.catalog.ItemID(item)))
	}
	vector := make([]float32, o.bundle.Model.Rank)
	if err := o.folder.FoldIn(vector, rows, taste.Scores, new(model.Scratch)); err != nil {
		o.t.Fatal(err)
	}
	for _, id := range history {
		order = append(order, row(id))
	}
	var s neighbors.Scratch
	var want []string
	for _, hit := range o.blend.Rank(neighbors.Query{History: order, Vector: vector, K: 15}, nil, &s) {
		want = append(want, o.bundle.ItemIDs[hit.Row])
	}
	var got []string
	l := r.recommend("limit=15&user_id=" + user)
	for _, it := range l.Items {
		got = append(got, it.ItemID)
	}
	if l.Source != "live" || !slices.Equal(got, want) {
		o.t.Errorf("%s: %s\n%v, want\n%v", user, l.Source, got, want)
	}
}
