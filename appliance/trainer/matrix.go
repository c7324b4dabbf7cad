package trainer

import (
	"context"
	"fmt"

	"vitrine/als/dataset"
	"vitrine/appliance/signal"
)

// Matrix reads the archive of a job as its training would, and weighs all of it:
// users x items, ages counted from the newest.
func Matrix(ctx context.Context, job Job) (*dataset.CSR, error) {
	sig, err := signal.New(job.Signal)
	if err != nil {
		return nil, fmt.Errorf("check signal: %w", err)
	}
	w, err := read(ctx, job.ArchiveDir, sig, memoryLimit(job.MemoryLimit), func(int, int) {})
	if err != nil {
		return nil, err
	}
	return w.matrix(ctx, sig, w.newest, w.whole)
}
