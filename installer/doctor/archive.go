package doctor

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"time"
)

// Archive packs what was found for a helper.
func (f *Findings) Archive(out io.Writer, now time.Time) error {
	zip := gzip.NewWriter(out)
	w := tar.NewWriter(zip)
	for _, name := range slices.Sorted(maps.Keys(f.files)) {
		text, ok := f.files[name].(string)
		if !ok {
			doc, err := json.MarshalIndent(f.files[name], "", "  ")
			if err != nil {
				return fmt.Errorf("pack %s: %w", name, err)
			}
			text = string(doc)
		}
		text = Redact(text)
		err := w.WriteHeader(&tar.Header{Name: "vitrine-doctor/" + name, Mode: 0o600, Size: int64(len(text)), ModTime: now})
		if err == nil {
			_, err = io.WriteString(w, text)
		}
		if err != nil {
			return fmt.Errorf("pack %s: %w", name, err)
		}
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	if err := zip.Close(); err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	return nil
}

// Redact takes out of a text what names people or opens doors: keys and
// passwords, the ids of users, sessions and items, and addresses of hosts.
func Redact(text string) string {
	for pattern, by := range map[string]string{
		`(?i)(bearer )\S+`: "${1}[...]",
		`(?i)("?(?:user|user_id|session|session_id|item|item_id|event_id|password|secret|token|sasl|key)"?\s*[=:]\s*)("[^"]*"|[^\s,;}\]]+)`: "${1}[...]",
		`(?i)((?:user_id|session|item_id)%3[Dd])[^&\s"]+`: "${1}[...]",
		`(://)[^/\s"]+@`: "${1}[...]@", // who enters by an address, and how
		`\b(\d{1,3})\.\d{1,3}\.\d{1,3}\.(\d{1,3})\b`: "${1}.x.x.${2}",
		`(/v1/(?:users|items)/)[^/?\s"]+`:            "${1}[...]",
		`(vk_[0-9a-f]{8})_[0-9a-f]{16,}`:             "${1}[...]",
	} {
		text = regexp.MustCompile(pattern).ReplaceAllString(text, by)
	}
	return text
}
