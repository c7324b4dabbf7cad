// Package kafka reads topics of a Kafka cluster into the log: interactions,
// and changes of items and users.
//
// It owns the membership of the consumer group: which partitions are read, from where
// on, how far others are told that they came, and what is wrong in the operator's
// terms. How brokers are asked is known to fetch, how records get into the log to flow,
// what they say to values: one that cannot be read is a dead letter with its topic,
// partition and offset, and never holds up those behind it. Where it goes on after a
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
