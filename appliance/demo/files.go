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
	EventsFile = "events.ndjson"
)

// WriteFiles writes the shop as two files of JSON lines into a folder, which
// is made when it is not there. Each appears whole or not at all.
func WriteFiles(dir string, cfg Config) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write demo shop: %w", err)
	}
	var buf []byte
	err = writeFile(filepath.Join(dir, ItemsFile), func(w io.Writer) error {
		return Generate(cfg, func(it event.Item) error {
			buf = appendItemJSON(buf[:0], &it)
			_, err := w.Write(append(buf, '\n'))
			return err
		}, nil)
	})
	if err != nil {
		return fmt.Errorf("write demo items: %w", err)
	}
	err = writeFile(filepath.Join(dir, EventsFile), func(w io.Writer) error {
		return Generate(cfg, nil, func(e event.Event) error {
			buf = event.AppendEventJSON(buf[:0], &e)
			_, err := w.Write(append(buf, '\n'))
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("write demo events: %w", err)
	}
	return nil
}

// appendItemJSON appends an item as the flat object that an import of items
// reads: its id and its attributes side by side.
func appendItemJSON(dst []byte, it *event.Item) []byte {
	id := event.Value{Kind: event.String, Str: it.ID}
	dst = event.AppendValueJSON(append(dst, `{"item_id":`...), &id)
	dst = append(dst, ',')
	start := len(dst)
	dst = event.AppendAttributesJSON(dst, it.Attributes)
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
