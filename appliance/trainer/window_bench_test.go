package trainer

import (
	"path/filepath"
	"testing"

	"vitrine/appliance/bench/gen"
	"vitrine/appliance/signal"
)

// BenchmarkLoad: from the archive's files to interactions by user. The floor is
// decompression of 8 bytes a row, a table look-up for each string of each row
// group's dictionaries, and two random writes a row.
func BenchmarkLoad(b *testing.B) {
	for name, text := range map[string]bool{"numbers": false, "text": true} {
		b.Run(name, func(b *testing.B) {
			dir := filepath.Join(b.TempDir(), "a")
			rows, err := gen.Archive(b.Context(), dir, gen.Sized(3_000_000), text)
			if err != nil {
				b.Fatal(err)
			}
			sig, err := signal.New(signal.Config{})
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := read(b.Context(), dir, sig, 0, func(int, int) {}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
