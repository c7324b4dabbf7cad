package abi

import (
	"math"
	"strconv"
)

// AppendJSON writes the manifest as vitrine_describe answers it. It is written
// by hand because encoding/json adds a megabyte to a guest, and imports that
// the host does not offer.
func (m *Manifest) AppendJSON(dst []byte) []byte {
	dst = appendField(dst, `{"name":`, m.Name)
	dst = appendField(dst, `,"version":`, m.Version)
	dst = appendField(dst, `,"summary":`, m.Summary)
	dst = append(dst, `,"kinds":[`...)
	for i, k := range m.Kinds {
		dst = appendComma(dst, i)
		dst = AppendString(dst, k.String())
	}
	dst = append(dst, `],"reads":`...)
	dst = appendColumns(dst, m.Reads)
	dst = append(dst, `,"writes":`...)
	dst = appendColumns(dst, m.Writes)
	dst = append(dst, `,"config":[`...)
	for i, k := range m.Config {
		dst = appendComma(dst, i)
		dst = appendField(dst, `{"key":`, k.Key)
		dst = appendField(dst, `,"type":`, k.Type)
		dst = append(dst, `,"default":`...)
		dst = appendValue(dst, k.Default)
		dst = appendField(dst, `,"help":`, k.Help)
		dst = append(dst, '}')
	}
	dst = append(dst, `],"fuel":{"base":`...)
	dst = strconv.AppendInt(dst, m.Fuel.Base, 10)
	dst = append(dst, `,"per_item":`...)
	dst = strconv.AppendInt(dst, m.Fuel.PerItem, 10)
	dst = append(dst, `},"pages":`...)
	dst = strconv.AppendInt(dst, int64(m.Pages), 10)
	return append(dst, '}')
}

func appendColumns(dst []byte, columns []Column) []byte {
	dst = append(dst, '[')
	for i, c := range columns {
		dst = appendComma(dst, i)
		dst = appendField(dst, `{"name":`, c.Name)
		dst = appendField(dst, `,"scope":`, c.Scope.String())
		dst = appendField(dst, `,"type":`, c.Type.String())
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

func appendValue(dst []byte, v any) []byte {
	switch v := v.(type) {
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return append(dst, "null"...)
		}
		return strconv.AppendFloat(dst, v, 'g', -1, 64)
	case string:
		return AppendString(dst, v)
	case bool:
		return strconv.AppendBool(dst, v)
	case []string:
		dst = append(dst, '[')
		for i, s := range v {
			dst = appendComma(dst, i)
			dst = AppendString(dst, s)
		}
		return append(dst, ']')
	}
	return append(dst, "null"...)
}

func appendComma(dst []byte, i int) []byte {
	if i == 0 {
		return dst
	}
	return append(dst, ',')
}

func appendField(dst []byte, key, value string) []byte {
	return AppendString(append(dst, key...), value)
}

// AppendString writes s as a JSON string; bytes that are not UTF-8 become
// U+FFFD.
func AppendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < ' ':
			dst = append(dst, `\u00`...)
			dst = append(dst, hex[r>>4], hex[r&15])
		default:
			dst = append(dst, string(r)...)
		}
	}
	return append(dst, '"')
}
