package appliance

import (
	"context"
	"log/slog"
	"slices"

	"vitrine/appliance/config"
	"vitrine/appliance/httpapi"
	"vitrine/appliance/publish"
	"vitrine/appliance/recommend"
	"vitrine/bridge/redis"
)

// OpenLists prepares the publishing of lists; nothing is connected yet.
func OpenLists(c config.Redis, log *slog.Logger) *publish.Publisher {
	store := redis.New(redis.Options{Address: c.Address, User: c.User, PasswordFile: c.PasswordFile})
	return publish.New(publish.Options{Store: store, Name: c.Address, Key: c.Key, TTL: c.TTL, Log: log})
}

// listSource gives the lists that are published: what /recommend answers to who
// asks for nothing but a user's list.
func (a *Appliance) listSource() publish.Source {
	users := a.parts.catalog
	var qs [recommend.BatchSize]httpapi.Query
	var lists [recommend.BatchSize]httpapi.List
	var errs [recommend.BatchSize]error
	return publish.Source{
		Users: users.NumUsers,
		User:  func(code uint32) (string, bool) { return users.UserID(code), a.parts.profile.Has(code) },
		Lists: func(ctx context.Context, ids []string, give func(string, []string, error)) error {
			for some := range slices.Chunk(ids, recommend.BatchSize) {
				n := 0
				for _, id := range some {
					if !a.known(id) {
						give(id, nil, nil)
						continue
					}
					qs[n] = httpapi.Query{UserID: id, Now: a.now().UnixMilli(), Limit: a.config.Recommend.Limit, ExcludeSeen: a.config.Recommend.ExcludeSeen}
					n++
				}
				if n == 0 {
					continue
				}
				if err := a.answers.Patiently(ctx, qs[:n], lists[:n], errs[:n]); err != nil {
					return err
				}
				for i := range n {
					give(qs[i].UserID, itemsOf(&lists[i]), errs[i])
				}
			}
			return nil
		},
	}
}

// itemsOf are the ids of a list's items.
func itemsOf(list *httpapi.List) []string {
	items := make([]string, len(list.Picks))
	for i := range list.Picks {
		items[i] = list.Picks[i].ItemID
	}
	return items
}
