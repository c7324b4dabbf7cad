package recommend

import (
	"errors"
	"time"

	"vitrine/appliance/frame"
)

// DefaultLimit is the length of a list whose request names none.
const DefaultLimit = 20

// Request asks for recommendations.
type Request struct {
	// UserID may be empty, or one that was never seen.
	UserID string
	// Session are the ids of items just looked at, oldest first; they count as
	// views on top of the user's history.
	Session []string
	// Limit is the number of items wanted; 0 is DefaultLimit.
	Limit int
	// Exclude are ids of items that must not be in the list.
	Exclude []string
	// ExcludeSeen leaves out the items of the history and the session.
	ExcludeSeen bool
	// Filter is a condition that every item of the list fulfils; empty means
	// none.
	Filter string
	// NotPersonalized asks for the popular list and reads no history, not even
	// for ExcludeSeen.
	NotPersonalized bool
	// Brief asks for the list by the factors alone where other sources stand beside
	// them, in an overload. It has no effect where reasons are asked for.
	Brief bool
	// Scene is where the list will stand; empty means SceneHome.
	Scene string
	// After is the request id of the list that this one is the next page of.
	After string
	// RequestID names this list for the next page; empty means that there will
	// be none.
	RequestID string
	Explain   Explain
	// Now is the time of the request in Unix milliseconds.
	Now int64
}

// Item is one place of a list.
type Item struct {
	ID   string
	Code uint32
	// Score is that of the model, or of the blend, for a live list, and 0 for items that fill it up
	// behind; the popularity for a popular list.
	Score float32
	// Reasons are there when the request asked for them.
	Reasons []Reason
}

// The values of Response.Source.
const (
	// SourceLive is a list made for this visitor, or item, by the live model.
	SourceLive = "live"
	// SourcePopular is a list of popular items.
	SourcePopular = "popular"
	// SourceEmpty is a list without items.
	SourceEmpty = "empty"
)

// The values of Response.Reason.
const (
	// ReasonUnknownUser: there are no events of this user that count, and no
	// session. His attributes may be known.
	ReasonUnknownUser = "unknown_user"
	// ReasonUnknownItems: nor is any item of the session in the catalogue.
	ReasonUnknownItems = "unknown_items"
	// ReasonNoModel: nothing was trained yet.
	ReasonNoModel = "no_model"
	// ReasonColdUser: the model knows nothing of the items of the history.
	ReasonColdUser = "cold_user"
	// ReasonColdItem: the model does not know the item.
	ReasonColdItem = "cold_item"
	// ReasonNotPersonalized: the request wants the popular list.
	ReasonNotPersonalized = "not_personalized"
	// ReasonNoCandidates: the model has nothing that may be shown.
	ReasonNoCandidates = "no_candidates"
	// ReasonFoldFailed: the visitor's vector could not be computed, which a
	// sound model does not let happen.
	ReasonFoldFailed = "fold_failed"
	// ReasonNoTrend: no item rises above its own past.
	ReasonNoTrend = "no_trend"
	// ReasonNothingNew: no item was put that may be shown, or none in the window;
	// or nothing happened in it.
	ReasonNothingNew = "nothing_new"
	// ReasonUnknownAttribute: nothing passes the filter, which names an attribute
	// that no item has.
	ReasonUnknownAttribute = "unknown_attribute"
	// ReasonNoItems: there is no item that may be shown.
	ReasonNoItems = "no_items"
	// ReasonOverload: a live list was made by the factors alone.
	ReasonOverload = "overload"
	// ReasonFiltered: the plugins dropped every candidate.
	ReasonFiltered = "filtered"
)

// ErrUnknownItem says that the catalogue has no such item.
var ErrUnknownItem = errors.New("unknown item")

// Response is an answer. It may be reused; its memory then serves again.
type Response struct {
	// Items are the list, best first.
	Items  []Item
	Source string
	// Reason says why Source is not SourceLive; when it is, it is empty, or
	// ReasonOverload for a brief list.
	Reason string
	// ModelVersion and ModelAge tell of the model that made a live list.
	ModelVersion string
	ModelAge     time.Duration
	// Exact says that the whole catalogue was ranked, nothing approximated or
	// stale: true for every live list that is not brief. In a blend an item outside the
	// factors' best that no source names cannot reach the list.
	Exact bool
	// Plugins tells what became of each active plugin.
	Plugins frame.Trace
}
