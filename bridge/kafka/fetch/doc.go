// Package fetch reads partitions of a Kafka cluster without a value on the heap for
// every record. Membership of the group, connections and metadata are franz-go's;
// what a broker answers stays compressed until somebody decodes a batch, whose bytes
// are used again afterwards.
package fetch
