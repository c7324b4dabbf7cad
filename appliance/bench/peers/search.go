package peers

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
)

// Retrieval is the script that searches by faiss and, where it is installed,
// hnswlib.
const Retrieval = "retrieval"

// SearchJob is what the searches of other libraries are asked.
type SearchJob struct {
	// Home is the folder where peers are installed, Data one for their input.
	Home, Data string
	// Items are factors of Rank, row after row; K is the length of the lists.
	Items   []float32
	Queries [][]float32
	Rank, K int
}

// Search is what the searches of other libraries took.
type Search struct {
	Version string      `json:"version"`
	Rows    []SearchRow `json:"rows"`
}

// SearchRow is one way of searching.
type SearchRow struct {
	Name string `json:"name"`
	// Micros is the processor time of one query, in microseconds, on one core.
	Micros float64 `json:"us"`
	// Recall is the share of the exact lists that it finds.
	Recall float64 `json:"recall"`
}

// RunSearch lets other libraries search. It returns ErrAbsent, with what is
// missing, where none is installed.
func RunSearch(ctx context.Context, job SearchJob) (*Search, error) {
	var queries []float32
	for _, q := range job.Queries {
		queries = append(queries, q...)
	}
	err := errors.Join(
		writeFloats(filepath.Join(job.Data, "items.f32"), job.Items),
		writeFloats(filepath.Join(job.Data, "queries.f32"), queries))
	if err != nil {
		return nil, fmt.Errorf("write the peers' data: %w", err)
	}
	var s Search
	if err := call(ctx, Job{Peer: Retrieval, Home: job.Home, Data: job.Data, Rank: job.Rank, Iterations: job.K}, &s); err != nil {
		return nil, err
	}
	for _, r := range s.Rows {
		if !(r.Micros > 0) || !(r.Recall >= 0) {
			return nil, fmt.Errorf("run %s: %s took %v us for a recall of %v", Retrieval, r.Name, r.Micros, r.Recall)
		}
	}
	if len(s.Rows) == 0 {
		return nil, fmt.Errorf("run %s: it measured nothing", Retrieval)
	}
	return &s, nil
}

func writeFloats(path string, values []float32) error {
	raw := make([]byte, 0, 4*len(values))
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	return os.WriteFile(path, raw, 0o600)
}
