package demo

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"vitrine/bridge/event"
)

// Names of the files that WriteFiles makes.
const (
	ItemsFile  = "items.ndjson"
	UsersFile  = "users.ndjson"
	EventsFile = "events.ndjson"
)

// WriteFiles writes the shop as three files of JSON lines into a folder, which
// is made when it is not there. Each appears whole or not at all.
func WriteFiles(dir string, cfg Config) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write demo shop: %w", err)
	}
	for name, part := range map[string]func(put func([]byte) error) Sink{
		ItemsFile: func(put func([]byte) error) Sink {
			return Sink{Items: func(it event.Item) error { return put(appendFlatJSON(nil, "item_id", it.ID, it.Attributes)) }}
		},
		UsersFile: func(put func([]byte) error) Sink {
			return Sink{Users: func(u event.User) error { return put(appendFlatJSON(nil, "user_id", u.ID, u.Attributes)) }}
		},
		EventsFile: func(put func([]byte) error) Sink {
			var buf []byte
			return Sink{Events: func(e event.Event) error {
				buf = event.AppendEventJSON(buf[:0], &e)
				return put(buf)
			}}
		},
	} {
		err := writeFile(filepath.Join(dir, name), func(w io.Writer) error {
			return Fill(cfg, part(func(line []byte) error {
				_, err := w.Write(append(line, '\n'))
				return err
			}))
		})
		if err != nil {
			return fmt.Errorf("write demo shop: %w", err)
		}
	}
	return nil
}

// appendFlatJSON appends an item or user as the flat object that an import
// reads: its id and its attributes side by side.
func appendFlatJSON(dst []byte, name, id string, attributes []event.Attribute) []byte {
	value := event.Value{Kind: event.String, Str: id}
	dst = append(append(append(dst, `{"`...), name...), `":`...)
	dst = event.AppendValueJSON(dst, &value)
	if len(attributes) == 0 {
		return append(dst, '}')
	}
	dst = append(dst, ',')
	start := len(dst)
	dst = event.AppendAttributesJSON(dst, attributes)
	// The brace that begins the attributes becomes part of the outer object.
	return append(dst[:start], dst[start+1:]...)
}

// writeFile writes beside path and renames when all is there.
func writeFile(path string, fill func(w io.Writer) error) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), ".demo-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	w := bufio.NewWriterSize(file, 1<<16)
	if err := errors.Join(fill(w), w.Flush(), file.Chmod(0o644), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
