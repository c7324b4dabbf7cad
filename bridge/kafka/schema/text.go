package schema

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"time"

	"vitrine/bridge/event"
	"vitrine/bridge/event/words"
)

// text is what JSON has for the fields of a value of so many bytes, by their names in
// order; those that are null are absent when it is read.
func text(fields map[string]any, bytes int) ([]byte, *event.Invalid) {
	const names = 256 // or so, which the value need not have
	out, err := appendMap(make([]byte, 0, min(3*bytes, bytes+1<<10)+names), fields)
	if err != nil {
		return nil, &event.Invalid{Code: CodeInvalid, Detail: fmt.Sprintf("a field has no form in JSON: %.300v", err)}
	}
	return out, nil
}

// appendJSON appends what encoding/json has for a value, in a third of its time for
// those that schemas have. A decimal, as prices are, is a number.
func appendJSON(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...), nil
	case string:
		return words.AppendJSON(dst, v), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case int32:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(dst, v, 10), nil
	case uint32:
		return strconv.AppendUint(dst, uint64(v), 10), nil
	case uint64:
		return strconv.AppendUint(dst, v, 10), nil
	case float32:
		return appendFloat(dst, float64(v), 32)
	case float64:
		return appendFloat(dst, v, 64)
	case map[string]any:
		return appendMap(dst, v)
	case []any:
		return appendList(dst, v)
	case time.Time:
		if year := v.Year(); year >= 0 && year <= 9999 {
			return append(v.AppendFormat(append(dst, '"'), time.RFC3339Nano), '"'), nil
		}
	case *big.Rat:
		if places, exact := v.FloatPrec(); exact {
			return append(dst, v.FloatString(places)...), nil
		}
	}
	other, err := json.Marshal(v)
	return append(dst, other...), err
}

// appendFloat appends a number as encoding/json does, whose digits an id may be.
func appendFloat(dst []byte, f float64, bits int) ([]byte, error) {
	format := byte('f')
	switch size := math.Abs(f); {
	case math.IsInf(f, 0), math.IsNaN(f):
		return dst, fmt.Errorf("%v is no number there", f)
	case size != 0 && (size < 1e-6 || size >= 1e21):
		format = 'e'
	}
	return strconv.AppendFloat(dst, f, format, -1, bits), nil
}

func appendMap(dst []byte, fields map[string]any) (_ []byte, err error) {
	var room [16]string
	names := slices.AppendSeq(room[:0], maps.Keys(fields))
	slices.Sort(names)
	dst = append(dst, '{')
	for i, name := range names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(words.AppendJSON(dst, name), ':')
		if dst, err = appendJSON(dst, fields[name]); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return append(dst, '}'), nil
}

func appendList(dst []byte, list []any) (_ []byte, err error) {
	dst = append(dst, '[')
	for i, v := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = appendJSON(dst, v); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), nil
}
