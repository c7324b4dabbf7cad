package kafka

import (
	"context"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"vitrine/bridge/kafka/fetch"
)

// Trial is a topic to measure with: made, filled, read by the client alone, and
// deleted.
type Trial struct {
	// Topic is its name.
	Topic      string
	partitions int32
	opt        Options
	client     *kgo.Client
	admin      *kadm.Client
}

// NewTrial makes a topic of one replica on the cluster of the options. Close
// deletes it.
func NewTrial(ctx context.Context, opt Options, topic string, partitions int32) (*Trial, error) {
	opt.Topic = topic
	client, err := opt.client(kgo.DefaultProduceTopic(topic), kgo.ProducerBatchMaxBytes(1<<20), kgo.MaxBufferedRecords(trialBatch))
	if err != nil {
		return nil, err
	}
	t := &Trial{Topic: topic, partitions: partitions, opt: opt, client: client, admin: kadm.NewClient(client)}
	if _, err := t.admin.CreateTopic(ctx, partitions, 1, nil, topic); err != nil {
		client.Close()
		return nil, fmt.Errorf("make topic %s: %w", topic, explain(err, &opt))
	}
	return t, nil
}

// trialBatch are the records of a trial that are on their way to it.
const trialBatch = 10_000

// Fill adds n records, each of the key and value that record gives.
func (t *Trial) Fill(ctx context.Context, n int, record func(i int) (key, value []byte)) error {
	batch := make([]*kgo.Record, 0, trialBatch)
	for i := range n {
		key, value := record(i)
		batch = append(batch, &kgo.Record{Key: key, Value: value})
		if len(batch) < trialBatch && i < n-1 {
			continue
		}
		if err := t.client.ProduceSync(ctx, batch...).FirstErr(); err != nil {
			return fmt.Errorf("fill topic %s: %w", t.Topic, err)
		}
		batch = batch[:0]
	}
	return nil
}

// Read reads the topic from its start as a member of a group, by the client alone
// with its own defaults, until there were n records: smaller fetches, larger ones
// and pools of buffers are no faster. came is told how many each poll brought, all
// that the client had.
func (t *Trial) Read(ctx context.Context, group string, n int, came func(records int)) error {
	client, err := t.opt.client(kgo.ConsumerGroup(group), kgo.ConsumeTopics(t.Topic), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer client.Close()
	for n > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read topic %s: %w", t.Topic, err)
		}
		got := fetches.NumRecords()
		came(got)
		n -= got
	}
	return nil
}

// Batches reads the topic from its start as a source does, without a group, until
// take has had n records. take reads a batch and lets go of it.
func (t *Trial) Batches(ctx context.Context, n int, take func(b *fetch.Batch) (records int, err error)) error {
	found, err := t.admin.ListTopics(ctx, t.Topic)
	if err != nil {
		return fmt.Errorf("ask for topic %s: %w", t.Topic, err)
	}
	ids := map[string][16]byte{t.Topic: found[t.Topic].ID}
	client, f, err := t.opt.reading(ids, fetch.NewBuffers(keptBytes, keptLargest), deaf{})
	if err != nil {
		return err
	}
	defer client.Close()
	for p := range t.partitions {
		f.Set(t.Topic, p, fetch.Start)
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { f.Run(ctx) })
	for n > 0 {
		batches, err := f.Next(ctx)
		if err != nil {
			return fmt.Errorf("read topic %s: %w", t.Topic, err)
		}
		for _, b := range batches {
			got, err := take(b)
			if err != nil {
				return fmt.Errorf("read topic %s: %w", t.Topic, err)
			}
			n -= got
		}
	}
	return nil
}

// deaf listens to nothing.
type deaf struct{}

func (deaf) lost(fetch.Loss)                   {}
func (deaf) stuck(string, int32, int64, error) {}

// Close deletes the topic and its groups.
func (t *Trial) Close(ctx context.Context, groups ...string) error {
	defer t.client.Close()
	if _, err := t.admin.DeleteGroups(ctx, groups...); err != nil {
		return fmt.Errorf("delete the groups of topic %s: %w", t.Topic, err)
	}
	if _, err := t.admin.DeleteTopic(ctx, t.Topic); err != nil {
		return fmt.Errorf("delete topic %s: %w", t.Topic, err)
	}
	return nil
}
