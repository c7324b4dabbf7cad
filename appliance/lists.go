package appliance

import (
	"context"
	"log/slog"

	"vitrine/appliance/config"
	"vitrine/appliance/httpapi"
	"vitrine/appliance/publish"
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
	var list httpapi.List
	return publish.Source{
		Users: users.NumUsers,
		User:  func(code uint32) (string, bool) { return users.UserID(code), a.parts.profile.Has(code) },
		List: func(ctx context.Context, id string) ([]string, error) {
			if !a.answers.known(id) {
				return nil, nil
			}
			q := httpapi.Query{UserID: id, Now: a.now().UnixMilli(), Limit: a.config.Recommend.Limit, ExcludeSeen: a.config.Recommend.ExcludeSeen}
			if err := a.answers.try(ctx, func(ctx context.Context) error { return a.answers.live.Recommend(ctx, &q, &list) }); err != nil {
				return nil, err
			}
			items := make([]string, len(list.Picks))
			for i := range list.Picks {
				items[i] = list.Picks[i].ItemID
			}
			return items, nil
		},
	}
}
