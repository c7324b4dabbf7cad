package sandbox

import (
	"context"
	"io"
	"log/slog"
	"os"
	"runtime"

	"github.com/tetratelabs/wazero/experimental"

	"vitrine/appliance/pluginhost/child"
)

// compileJob is what the compiling child is told beside the module.
type compileJob struct {
	Dir    string `json:"dir"`
	Engine string `json:"engine"`
	// These are those of Spec.
	Config       map[string]any `json:"config"`
	ConfigFile   string         `json:"config_file"`
	AllowMissing bool           `json:"allow_missing"`
}

// CompileChild is the entry of the compiling child process: a job and a module
// on in, the native code in the job's cache folder, the outcome on out. It also
// takes one instance up to its first call, so that a start function that spins
// does so here and not in the daemon.
func CompileChild(ctx context.Context, in io.Reader, out io.Writer) error {
	var job compileJob
	return child.Serve(in, out, &job, func(wasm []byte) error { return job.compile(ctx, wasm) })
}

// compile leaves the module's native code in the job's folder, made or checked by
// this very binary on this machine, so that loading it in the daemon compiles
// nothing.
func (j *compileJob) compile(ctx context.Context, wasm []byte) error {
	ctx = experimental.WithCompilationWorkers(ctx, runtime.NumCPU())
	v := &Version{spec: Spec{
		Engine: j.Engine, Config: j.Config, ConfigFile: j.ConfigFile, AllowMissing: j.AllowMissing,
		Log: slog.New(slog.DiscardHandler),
	}}
	err := v.open(ctx, j.Dir, wasm)
	if err != nil && os.RemoveAll(j.Dir) == nil {
		// The cache may hold code that is damaged; without it the module alone
		// decides.
		err = v.open(ctx, j.Dir, wasm)
	}
	if err != nil {
		return err
	}
	defer v.Close()
	first, err := newInstance(ctx, v)
	if err != nil {
		return err
	}
	first.close()
	return nil
}
