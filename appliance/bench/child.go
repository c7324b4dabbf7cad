package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"vitrine/appliance/bench/training"
	"vitrine/appliance/httpapi"
	"vitrine/appliance/pluginhost"
)

// Kinds of child processes.
const (
	// ChildHello answers with the reference handler.
	ChildHello = "bench-hello"
	// ChildTrain trains on generated data in memory.
	ChildTrain = "bench-train"
	// ChildArchive writes generated data as an archive.
	ChildArchive = "bench-archive"
	// ChildPublish trains on an archive as the appliance does.
	ChildPublish = "bench-publish"
	// ChildCompile compiles the plugin that is measured.
	ChildCompile = "bench-compile"
	// ChildDaemon is an appliance with gap.Answer beside it. Package cmd has it:
	// this package cannot compose one.
	ChildDaemon = "bench-daemon"
)

// Child is the entry of the benchmark's own child processes; kind is what
// Options.ChildCommand was asked for.
func Child(ctx context.Context, kind string, in io.Reader, out io.Writer) error {
	switch kind {
	case ChildHello:
		return helloChild(ctx, in, out)
	case ChildTrain:
		return training.Solve(ctx, in, out)
	case ChildArchive:
		return training.WriteArchive(ctx, in, out)
	case ChildPublish:
		return training.Publish(ctx, in, out)
	case ChildCompile:
		return pluginhost.CompileChild(ctx, in, out)
	}
	return fmt.Errorf("there is no child process of kind %q", kind)
}

// helloChild serves the reference until in ends or ctx does.
func helloChild(ctx context.Context, in io.Reader, out io.Writer) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for the reference: %w", err)
	}
	server := &http.Server{Handler: httpapi.Hello(), ReadHeaderTimeout: time.Minute}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, in) // the end is what counts
		cancel()
	}()
	context.AfterFunc(ctx, func() { server.Close() }) //nolint:errcheck // it is the end
	if _, err := fmt.Fprintf(out, "http://%s\n", listener.Addr()); err != nil {
		return fmt.Errorf("tell the reference's address: %w", err)
	}
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the reference: %w", err)
	}
	return nil
}
