// Package words holds what the installer says, in English and Chinese.
//
// A sentence is its English format with its values; zh.txt has the Chinese of
// each format. It is a leaf and knows nothing of what is said.
package words

import (
	_ "embed"
	"fmt"
	"strings"
)

// Language is what texts are shown in: English, or "zh".
type Language string

// The languages.
const (
	English Language = "en"
	Chinese Language = "zh"
)

// Parse gives the language of a flag; "" takes that of the locale in the
// environment.
func Parse(flag string, getenv func(string) string) (Language, error) {
	switch flag {
	case "en", "zh":
		return Language(flag), nil
	case "":
	default:
		return English, fmt.Errorf("there is no language %q: en or zh", flag)
	}
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if locale := getenv(name); locale != "" {
			if strings.HasPrefix(locale, "zh") {
				return Chinese, nil
			}
			return English, nil
		}
	}
	return English, nil
}

// Text is one sentence. The zero Text is none.
type Text struct {
	format string
	values []any
}

// New is a sentence of an English format, which zh.txt knows too.
func New(format string, values ...any) Text { return Text{format, values} }

// In is the sentence in a language; one that has no translation is English.
func (t Text) In(l Language) string {
	format := t.format
	if l == Chinese {
		if translated, ok := Translation(t.format); ok {
			format = translated
		}
	}
	return fmt.Sprintf(format, t.values...)
}

//go:embed zh.txt
var zh string

// Translation is the Chinese of an English format.
func Translation(format string) (string, bool) {
	for line := range strings.Lines(zh) {
		if english, chinese, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t"); ok && english == format {
			return chinese, true
		}
	}
	return "", false
}
