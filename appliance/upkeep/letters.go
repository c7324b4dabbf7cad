package upkeep

import (
	"bytes"
	"context"
	"fmt"
	"unicode/utf8"

	"vitrine/bridge/deadletter"
)

// Letters are the dead letters.
type Letters interface {
	List(limit int, cursor string) (deadletter.Page, error)
	Get(id string) (deadletter.Letter, error)
	Remove(ids []string) (int, error)
}

// lettersPage is how many letters are looked at at once.
const lettersPage = 200

// removeLetters takes out the dead letters that name any of the users, and counts
// them. A letter is what could not be read, so an id in it is a word of it: one
// that stands within a longer word names somebody else.
func removeLetters(ctx context.Context, store Letters, users map[string]bool) (of map[string]int64, err error) {
	of = map[string]int64{}
	var gone []string
	cursor := ""
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		page, err := store.List(lettersPage, cursor)
		if err != nil {
			return nil, fmt.Errorf("look for erased users in dead letters: %w", err)
		}
		for i := range page.Letters {
			letter, err := store.Get(page.Letters[i].ID)
			if err != nil {
				continue // it was dropped meanwhile
			}
			named := false
			for id := range users {
				if hasWord(letter.Raw, []byte(id)) || hasWord([]byte(letter.Detail), []byte(id)) {
					named = true
					of[id]++
				}
			}
			if named {
				gone = append(gone, letter.ID)
			}
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if len(gone) == 0 {
		return of, nil
	}
	if _, err := store.Remove(gone); err != nil {
		return nil, fmt.Errorf("remove dead letters of erased users: %w", err)
	}
	return of, nil
}

// hasWord says whether a text has a word that no letter, digit, dash or underscore
// joins to more.
func hasWord(text, word []byte) bool {
	for at := 0; ; at++ {
		n := bytes.Index(text[at:], word)
		if n < 0 {
			return false
		}
		at += n
		end := at + len(word)
		if (at == 0 || !joins(text[at-1])) && (end == len(text) || !joins(text[end])) {
			return true
		}
	}
}

func joins(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c >= utf8.RuneSelf
}
