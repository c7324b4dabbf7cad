// Package tables writes the Parquet files, and lines of JSON, that others take
// over: what the appliance exports.
//
// It owns their columns. The archive's own files are those of package parquet;
// what the rows hold and where the files lie is not known here. It must not import
// anything of this module.
//
//	w := tables.NewWriter[tables.List[string]](file, nil)
//	err := w.Write(rows)
//	err = w.Close()
package tables

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

// ID is how rows name users and items: as texts, or as codes that a dictionary
// beside explains.
type ID interface{ string | int32 }

// Millis is a time in Unix milliseconds, in JSON RFC 3339.
type Millis int64

// MarshalJSON writes the time as the API does.
func (m Millis) MarshalJSON() ([]byte, error) {
	return time.UnixMilli(int64(m)).UTC().AppendFormat(nil, `"2006-01-02T15:04:05.999Z07:00"`), nil
}

// UnmarshalJSON reads such a time.
func (m *Millis) UnmarshalJSON(text []byte) error {
	var at time.Time
	err := at.UnmarshalJSON(text)
	*m = Millis(at.UnixMilli())
	return err
}

// JSON is a JSON value as text.
type JSON string

// UnmarshalJSON takes the value as it is.
func (j *JSON) UnmarshalJSON(text []byte) error { *j = JSON(text); return nil }

// MarshalJSON is the value itself.
func (j JSON) MarshalJSON() ([]byte, error) { return []byte(j), nil }

// List is a user's list, best first: the form of Spark's recommendForAllUsers.
type List[I ID] struct {
	UserID          I          `parquet:"user_id,plain" json:"user_id"`
	Recommendations []Place[I] `parquet:"recommendations,list" json:"recommendations"`
	Source          string     `parquet:"source,dict" json:"source"`
	Reason          string     `parquet:"reason,optional,dict" json:"reason,omitempty"`
	Model           string     `parquet:"model,optional,dict" json:"model,omitempty"`
}

// Place is one item of a list.
type Place[I ID] struct {
	ItemID I       `parquet:"item_id,dict" json:"item_id"`
	Score  float32 `parquet:"score" json:"score"`
}

// Event is an interaction.
type Event[I ID] struct {
	UserID    I        `parquet:"user_id,dict" json:"user_id"`
	ItemID    I        `parquet:"item_id,dict" json:"item_id"`
	EventType string   `parquet:"event_type,dict" json:"event_type"`
	Time      Millis   `parquet:"ts,timestamp(millisecond:utc)" json:"ts"`
	Value     *float64 `parquet:"value,optional" json:"value,omitempty"`
	EventID   string   `parquet:"event_id,optional,plain" json:"event_id,omitempty"`
	SessionID string   `parquet:"session_id,optional,dict" json:"session_id,omitempty"`
	RequestID string   `parquet:"request_id,optional,dict" json:"request_id,omitempty"`
	Position  int32    `parquet:"position,optional" json:"position,omitempty"`
	Scene     string   `parquet:"scene,optional,dict" json:"scene,omitempty"`
	Price     *float64 `parquet:"price,optional" json:"price,omitempty"`
	Currency  string   `parquet:"currency,optional,dict" json:"currency,omitempty"`
	Props     JSON     `parquet:"props,optional,plain" json:"props,omitempty"`
}

// Item is an item as it is now.
type Item[I ID] struct {
	ItemID     I       `parquet:"item_id,plain" json:"item_id"`
	Attributes JSON    `parquet:"attributes,plain" json:"attributes"`
	ExpiresAt  *Millis `parquet:"expires_at,timestamp(millisecond:utc)" json:"expires_at,omitempty"`
	Time       *Millis `parquet:"ts,timestamp(millisecond:utc)" json:"ts,omitempty"`
}

// User is a user as he is now.
type User[I ID] struct {
	UserID     I       `parquet:"user_id,plain" json:"user_id"`
	Attributes JSON    `parquet:"attributes,plain" json:"attributes"`
	Time       *Millis `parquet:"ts,timestamp(millisecond:utc)" json:"ts,omitempty"`
}

// UserFactors are a user's in a model.
type UserFactors[I ID] struct {
	UserID  I         `parquet:"user_id,plain" json:"user_id"`
	Factors []float32 `parquet:"factors,list" json:"factors"`
}

// ItemFactors are an item's in a model.
type ItemFactors[I ID] struct {
	ItemID  I         `parquet:"item_id,plain" json:"item_id"`
	Factors []float32 `parquet:"factors,list" json:"factors"`
}

// UserCode explains the code of a user.
type UserCode struct {
	Code   int32  `parquet:"code" json:"code"`
	UserID string `parquet:"user_id,plain" json:"user_id"`
}

// ItemCode explains the code of an item.
type ItemCode struct {
	Code   int32  `parquet:"code" json:"code"`
	ItemID string `parquet:"item_id,plain" json:"item_id"`
}

// Row is a row of any of the tables.
type Row interface {
	// groupRows is how many go into a row group.
	groupRows() int64
}

// manyRows and longRows bound the memory of a writer: a row group is held until it
// is whole. A list of 500 items takes 4 KB, a row of factors 256 bytes.
const (
	manyRows = 1 << 18
	longRows = 1 << 15
)

func (List[I]) groupRows() int64        { return longRows }
func (Event[I]) groupRows() int64       { return manyRows }
func (Item[I]) groupRows() int64        { return longRows }
func (User[I]) groupRows() int64        { return longRows }
func (UserFactors[I]) groupRows() int64 { return longRows }
func (ItemFactors[I]) groupRows() int64 { return longRows }
func (UserCode) groupRows() int64       { return manyRows }
func (ItemCode) groupRows() int64       { return manyRows }

// Writer writes one file. It is for one goroutine.
type Writer[R Row] struct{ out *parquet.GenericWriter[R] }

// NewWriter begins a file, whose footer has the metadata.
func NewWriter[R Row](out io.Writer, metadata map[string]string) *Writer[R] {
	// Pages of version 1, and of encodings the plain one and dictionaries: whoever
	// takes tables over may be older than others that were added since.
	var row R
	w := parquet.NewGenericWriter[R](out, parquet.Compression(&zstd.Codec{Level: zstd.SpeedFastest}), parquet.DataPageVersion(1),
		parquet.MaxRowsPerRowGroup(row.groupRows()), parquet.CreatedBy("vitrine", strconv.Itoa(1), "0"))
	for _, key := range slices.Sorted(maps.Keys(metadata)) {
		w.SetKeyValueMetadata(key, metadata[key])
	}
	return &Writer[R]{w}
}

// Write adds rows.
func (w *Writer[R]) Write(rows []R) error {
	if _, err := w.out.Write(rows); err != nil {
		return fmt.Errorf("write parquet rows: %w", err)
	}
	return nil
}

// Close writes the footer. It does not close what is written to.
func (w *Writer[R]) Close() error {
	if err := w.out.Close(); err != nil {
		return fmt.Errorf("write parquet file: %w", err)
	}
	return nil
}
