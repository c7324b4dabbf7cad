// Package jetstream is the durable bus: an embedded NATS JetStream server that
// holds the one log as a stream of frames.
//
// It owns the server's life, its limits and its durability: no open port,
// fsync before every acknowledgement, new frames refused when the log is full
// (old ones are never discarded), a restart of the server when its store has
// given up. It is the only package that imports nats-server and nats.go; it
// must not know what is inside a frame.
package jetstream
