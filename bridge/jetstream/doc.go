// Package jetstream is the durable bus: the one log as a stream of frames, on
// an embedded NATS JetStream server (Bus), or in a NATS cluster with an embedded
// one beside it for the time that the cluster is away (Cluster).
//
// It owns the server's life, its limits and its durability: no open port,
// fsync before every acknowledgement, new frames refused when the log is full
// or the disk nearly so (old ones are never discarded), a restart of the server
// when its store has given up, and segments that are checked before the server
// reads them. It is the only package that imports nats-server and nats.go; of
// what is inside a frame it knows one thing, the frame without records that
// stands for a lost one.
package jetstream
