// Package rowid gives rows of files that have no event_id one of their own.
//
// It imports nothing of this module but bridge/event.
package rowid

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"

	"vitrine/bridge/event"
)

// IDs gives rows without an event_id one of their own: the hash of the
// fields that the row became, and of which occurrence of them in the file it
// is. So a file imported twice, renamed, recompressed or appended to adds
// nothing, and equal rows that are real stay apart.
//
// The ids are in the archive for ever: a change of this hash would double
// every file that is imported again. SHA-256 is cut to 128 bits; it is in the
// standard library, and nobody can craft two rows that shadow each other.
type IDs struct {
	// seen counts occurrences by 64 bits of the hash, which is a third of the
	// memory of the whole. Two different rows that share them (1 in 4,000 for
	// some pair among 100M rows) merely count on from each other: their ids
	// stay apart, because the rest of the hash does.
	seen map[uint64]uint32
	buf  []byte
}

// New makes an empty one: it has seen no row.
func New() IDs { return IDs{seen: map[uint64]uint32{}} }

// identityVersion begins every hashed row.
const identityVersion = "vitrine row 1\x00"

// Next returns the id of the next occurrence of e. Its time must be as the
// file gave it, 0 if it did not.
func (id *IDs) Next(e *event.Event) string {
	b := append(id.buf[:0], identityVersion...)
	for _, s := range [...]string{
		e.UserID, e.ItemID, e.Type, e.SessionID, e.RequestID, e.Scene, e.Currency, e.Props,
	} {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(e.Time))
	b = binary.LittleEndian.AppendUint32(b, uint32(e.Position))
	b = appendAmount(b, e.Value, e.HasValue)
	b = appendAmount(b, e.Price, e.HasPrice)
	sum := sha256.Sum256(b)
	key := binary.LittleEndian.Uint64(sum[:])
	n := id.seen[key]
	id.seen[key] = n + 1
	if n > 0 {
		sum = sha256.Sum256(binary.LittleEndian.AppendUint32(append(b[:0], sum[:]...), n))
	}
	id.buf = b
	var text [32]byte
	hex.Encode(text[:], sum[:16])
	return string(text[:])
}

func appendAmount(b []byte, v float64, has bool) []byte {
	if !has {
		return append(b, 0)
	}
	return binary.LittleEndian.AppendUint64(append(b, 1), math.Float64bits(v+0)) // -0 is 0
}
