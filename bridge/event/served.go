package event

// Served is a list as it was answered. It is kept beside the events, so that
// what was done with a list can be joined to it by its request id.
type Served struct {
	RequestID string
	// UserID is empty where the list was nobody's own.
	UserID string
	// Time is when it was asked for, in Unix milliseconds.
	Time int64
	// List is which one: "recommend", "similar", "popular", "trending",
	// "latest" or "rank". Subject is the item of similar ones.
	List, Subject string
	Scene         string
	// Source, Reason and Model are as in the answer.
	Source, Reason, Model string
	// Rules is the version of the business rules, 0 without any.
	Rules uint32
	// Plugins are those that had a part in it, as NAME@VERSION.
	Plugins []string
	// Items are best first.
	Items []ServedItem
}

// ServedItem is one place of a list.
type ServedItem struct {
	ID    string
	Score float32
}
