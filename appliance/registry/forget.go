package registry

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"vitrine/als/model"
	"vitrine/internal/logkey"
)

// Forget takes the names of users out of all versions that are kept, and returns
// of how many. Their rows stay, for others' scores rest on the same items, but
// nothing says whose they were. Files set aside as corrupt are deleted: what they
// hold cannot be told.
func (r *Registry) Forget(users map[string]bool) (versions int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return 0, fmt.Errorf("forget users in models: %w", err)
	}
	var errs []error
	for _, e := range entries {
		path := filepath.Join(r.dir, e.Name())
		if strings.HasSuffix(e.Name(), bundleSuffix+corruptSuffix) {
			r.log.Info("corrupt model deleted: a user was erased who may be in it", logkey.Path, path)
			errs = append(errs, os.Remove(path))
			continue
		}
		if !strings.HasSuffix(e.Name(), bundleSuffix) {
			continue
		}
		changed, err := forget(path, users)
		if err != nil {
			errs = append(errs, fmt.Errorf("forget users in %s: %w", path, err))
		}
		if changed {
			versions++
		}
	}
	return versions, errors.Join(errs...)
}

// forget writes a bundle anew where any of the users has a row in it. The file
// takes the place of the old one, which stays as it is for who has it open.
func forget(path string, users map[string]bool) (changed bool, err error) {
	table, err := model.ReadSection(path, sectionUsers, math.MaxInt32)
	if err != nil {
		return false, err
	}
	maybe := false
	for id := range users {
		maybe = maybe || bytes.Contains(table, []byte(id))
	}
	if !maybe {
		return false, nil
	}
	b, err := Load(path)
	if err != nil {
		return false, err
	}
	for row, id := range b.UserIDs {
		if users[id] {
			// No user can have such an id: a row needs one, and of its own.
			b.UserIDs[row], changed = "\x00"+strconv.Itoa(row), true
		}
	}
	if !changed {
		return false, nil
	}
	return true, Write(path, b)
}
