// Package kafka reads topics of a Kafka cluster into the log: interactions,
// and changes of items and users.
//
// It owns the consumer group, and what becomes of records: those that cannot be read
// are dead letters with their topic, partition and offset, and never hold up those
// behind them; what the others say is known to values. Where it goes on after a
// start is told by the log itself, which keeps the place of every record; the
// offsets that the group commits are for the cluster's own tools, and for other
// members of the group. A log that is full, or a cluster that does not answer,
// makes it wait: what it holds is bounded, and the cluster keeps the rest.
//
//	source, err := kafka.New(kafka.Options{Brokers: []string{"localhost:9092"}, Topics: values.Topics{Topic: "user-events"}, Into: pump, Letters: store})
//	err = source.Run(ctx)
//
// It and its own packages are the only importers of franz-go.
package kafka
