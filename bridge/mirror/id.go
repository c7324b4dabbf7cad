package mirror

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"vitrine/internal/durable"
)

// IDFile lies in the archive's folder, and so goes where the archive goes.
const IDFile = "_id"

// idDigits is the length of an id: so short that names stay readable, so long
// that no two archives of one shop have the same.
const idDigits = 12

// ID is the id of the archive in a folder, made on the first call. A copy of
// the folder has the same one: two appliances on it would take each other's
// files for their own, which BehindError stops.
func ID(dir string) (string, error) {
	at := filepath.Join(dir, IDFile)
	data, err := os.ReadFile(at)
	if errors.Is(err, fs.ErrNotExist) {
		return makeID(at)
	}
	if err != nil {
		return "", fmt.Errorf("read the archive's id: %w", err)
	}
	id := strings.TrimSpace(string(data))
	if raw, err := hex.DecodeString(id); err != nil || len(raw)*2 != idDigits {
		return "", fmt.Errorf("read the archive's id: %s has %q, want %d hexadecimal digits", at, id, idDigits)
	}
	return id, nil
}

func makeID(at string) (string, error) {
	var raw [idDigits / 2]byte
	_, _ = rand.Read(raw[:]) // never fails
	id := hex.EncodeToString(raw[:])
	err := durable.Replace(at, func(f *os.File) error {
		_, err := f.WriteString(id + "\n")
		return err
	})
	if err != nil {
		return "", fmt.Errorf("write the archive's id: %w", err)
	}
	return id, nil
}
