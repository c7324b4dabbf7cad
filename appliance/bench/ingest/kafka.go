package ingest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
	"unsafe"

	"vitrine/appliance/bench/machine"
	"vitrine/appliance/bench/process"
	"vitrine/appliance/bench/report"
	"vitrine/bridge"
	"vitrine/bridge/deadletter"
	"vitrine/bridge/event"
	"vitrine/bridge/event/frames"
	"vitrine/bridge/jetstream"
	"vitrine/bridge/kafka"
	"vitrine/bridge/kafka/fetch"
	"vitrine/bridge/kafka/values"
)

// The bars of Kafka -> durable bus, for records of 200 bytes on two cores that
// have nothing else to do but the broker's work.
const (
	barRawCPU    = 1.5     // us a record
	barWholeCPU  = 2.5     // us a record
	barWholeRate = 300_000 // records/s
	barRatio     = 60.0    // per cent of what the client alone reads in the same run
)

const (
	recordBytes     = 200
	trialPartitions = 8
	// rawFrame is the size at which a frame of raw records is closed.
	rawFrame = 1 << 20
)

// The ways in which a topic is read.
const (
	// clientAlone counts records.
	clientAlone = "client"
	// rawFrames puts their bytes as they are into frames of the durable log.
	rawFrames = "raw"
	// wholeWay is the product's: decoded, checked, deduplicated, framed.
	wholeWay = "whole"
)

// KafkaNote says what its figures are.
const KafkaNote = "kafka: the same records of 200 bytes, by the client alone, in raw frames on disk, read as the appliance reads them, and as it takes them (decoded, checked, deduplicated, in frames on disk); ratio: of the client's rate in the same repetition; equal_cpu: what the ratio would be if both had the same processor time, the broker's included, which is the most where the client alone keeps all processors busy; raw records also need the disk: 220 bytes each, against disk.frames"

// Kafka reads the same records from a topic in three ways, one after the other in
// each repetition: by the client alone, framed raw, and as the appliance does. The
// topic is made for it on the cluster of the options, and deleted.
func (b *Bench) Kafka(ctx context.Context, opt kafka.Options, records int) (err error) {
	name := fmt.Sprintf("vitrine-bench-%d-%d", os.Getpid(), time.Now().UnixMilli())
	trial, err := kafka.NewTrial(ctx, opt, name, trialPartitions)
	if err != nil {
		return err
	}
	var groups []string
	defer func() { err = errors.Join(err, trial.Close(context.WithoutCancel(ctx), groups...)) }()
	b.Progress("ingest.kafka.fill", 0, int64(b.Repetitions))
	if err := trial.Fill(ctx, records, kafkaRecord); err != nil {
		return err
	}
	opt.Topic, opt.ItemsTopic, opt.UsersTopic, opt.Format, opt.Map, opt.Instance = name, "", "", values.JSON, "", ""
	broker := process.Listening(opt.Brokers[0])
	got := report.Samples{}
	for rep := range b.Repetitions {
		b.Progress("ingest.kafka", int64(rep), int64(b.Repetitions))
		var alone *meter
		for _, way := range []string{clientAlone, rawFrames, wholeWay} {
			group := fmt.Sprintf("%s-%s-%d", name, way, rep)
			if way != rawFrames { // which needs none
				groups = append(groups, group)
			}
			m := newMeter(broker, records)
			switch way {
			case clientAlone:
				alone = m
				err = trial.Read(ctx, group, records, m.add)
			case rawFrames:
				err = b.raw(ctx, trial, m)
			case wholeWay:
				opt.Group = group
				err = b.whole(ctx, opt, m)
			}
			if err != nil {
				return fmt.Errorf("read topic %s (%s): %w", name, way, err)
			}
			m.into(got, "ingest.kafka."+way)
			if m != alone {
				got.Add("ingest.kafka."+way+".ratio", 100*m.rate()/alone.rate())
				got.Add("ingest.kafka."+way+".equal_cpu", 100*(alone.cpu()+alone.brokerCPU())/(m.cpu()+m.brokerCPU()))
			}
		}
	}
	b.kafkaFigures(got, broker != 0)
	return nil
}

// kafkaFigures are those of the samples.
func (b *Bench) kafkaFigures(got report.Samples, brokerKnown bool) {
	for _, way := range []struct {
		name             string
		rate, cpu, ratio float64
	}{{clientAlone, 0, 0, 0}, {rawFrames, 0, barRawCPU, barRatio}, {wholeWay, barWholeRate, barWholeCPU, barRatio}} {
		name := "ingest.kafka." + way.name
		b.figure(got, name+".rate", "1/s", report.Higher, way.rate)
		b.figure(got, name+".cpu", "us", report.Lower, way.cpu)
		if brokerKnown {
			b.figure(got, name+".broker_cpu", "us", report.Lower, 0)
		}
		if way.name != clientAlone {
			b.figure(got, name+".ratio", "%", report.Higher, way.ratio)
			b.figure(got, name+".equal_cpu", "%", report.Higher, 0)
		}
	}
}

// kafkaRecord is the i-th record: an event of recordBytes as JSON.
func kafkaRecord(i int) (key, value []byte) {
	key = fmt.Appendf(nil, "user-%07d", i*7919%users)
	value = fmt.Appendf(nil, `{"user_id":%q,"item_id":"item-%07d","event_type":"view","ts":%d,"event_id":"e-%010d","session_id":"s-%07d","scene":"home","position":%d,"price":19.5,"currency":"EUR"`,
		key, i*104729%items, 1760000000000+i, i, i/5, i%20)
	for len(value) < recordBytes-1 {
		value = append(value, ' ')
	}
	return key, append(value, '}')
}

// meter counts records and what they cost, from the first that come to the last of
// all: to join a group takes its time, and so does leaving it.
type meter struct {
	broker, all int
	// done is closed when all have come.
	done chan struct{}

	mu       sync.Mutex
	first, n int
	from, to stamp
}

// stamp is the time, and the processor time of ourselves and the broker.
type stamp struct {
	at          time.Time
	own, broker time.Duration
}

func newMeter(broker, all int) *meter {
	return &meter{broker: broker, all: all, done: make(chan struct{})}
}

// add tells of n more records.
func (m *meter) add(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n == 0 {
		return
	}
	before := m.n
	if m.n += n; before == 0 {
		m.first, m.from = m.n, m.now()
	}
	if before < m.all && m.n >= m.all {
		m.to = m.now()
		close(m.done)
	}
}

func (m *meter) now() stamp { return stamp{time.Now(), machine.OwnTime(), used(m.broker)} }

func used(pid int) time.Duration {
	if pid == 0 {
		return 0
	}
	d, _ := process.Used(pid)
	return d
}

func (m *meter) records() float64 { return float64(max(1, m.n-m.first)) }

// rate is records a second, cpu and brokerCPU microseconds a record.
func (m *meter) rate() float64 { return m.records() / max(m.to.at.Sub(m.from.at).Seconds(), 1e-9) }

func (m *meter) cpu() float64 { return m.each(m.to.own - m.from.own) }

func (m *meter) brokerCPU() float64 { return m.each(m.to.broker - m.from.broker) }

// each is a record's share of a time, in microseconds.
func (m *meter) each(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 / m.records() }

func (m *meter) into(got report.Samples, name string) {
	got.Add(name+".rate", m.rate())
	got.Add(name+".cpu", m.cpu())
	got.Add(name+".broker_cpu", m.brokerCPU())
}

// rawTurns are the frames that raw has in turn: one is filled, one waits, one is on its
// way to the disk.
const rawTurns = 3

// raw frames the records as they come, read as a source reads them, and appends each frame to a durable log while the next one is filled.
func (b *Bench) raw(ctx context.Context, trial *kafka.Trial, m *meter) error {
	return b.withBus(ctx, 0, func(_ string, bus *jetstream.Bus) error {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		f := &framer{source: event.TopicSource(trial.Topic, [16]byte{1}), free: make(chan *frames.Builder, rawTurns), full: make(chan sealed, rawTurns)}
		for range rawTurns {
			f.free <- &frames.Builder{}
		}
		appended := make(chan struct{})
		go func() {
			defer close(appended)
			cancel(f.appendAll(ctx, bus, m))
		}()
		err := trial.Batches(ctx, m.all, func(b *fetch.Batch) (int, error) { return f.take(ctx, b) })
		if f.filling != nil && f.filling.Len() > 0 {
			f.handOn()
		}
		close(f.full)
		<-appended
		if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
			return cause
		}
		return err
	})
}

// framer makes frames of records as they are.
type framer struct {
	source string
	// filling is the frame that the next record goes into, nil before the first.
	filling *frames.Builder
	free    chan *frames.Builder
	full    chan sealed
}

// sealed is a frame that waits for the disk, and its builder.
type sealed struct {
	*frames.Builder
	frame []byte
}

// handOn closes the frame, which costs a walk over it, before its turn comes.
func (f *framer) handOn() {
	f.full <- sealed{f.filling, f.filling.Seal()}
	f.filling = nil
}

// take puts the records of a batch into frames.
func (f *framer) take(ctx context.Context, b *fetch.Batch) (records int, err error) {
	if _, err := b.Open(); err != nil {
		return 0, err
	}
	for part := range b.Parts() {
		w := b.Walk(part)
		for r := (fetch.Record{}); w.Next(&r); records++ {
			if f.filling == nil {
				select {
				case f.filling = <-f.free:
				case <-ctx.Done():
					return records, ctx.Err()
				}
			}
			// The text that a frame takes as it is.
			f.filling.Add(&event.Record{
				Kind: event.KindEvent, Source: event.Source{Name: f.source, Partition: b.Partition, Offset: r.Offset},
				Event: event.Event{Props: unsafe.String(unsafe.SliceData(r.Value), len(r.Value))},
			})
			if f.filling.Size() >= rawFrame {
				f.handOn()
			}
		}
		if w.Err() != nil {
			return records, w.Err()
		}
		b.Release()
	}
	return records, nil
}

// appendAll appends frames until no more come.
func (f *framer) appendAll(ctx context.Context, bus *jetstream.Bus, m *meter) error {
	last := uint64(0)
	for b := range f.full {
		seq, err := bus.Append(ctx, b.frame, last)
		if err != nil {
			return err
		}
		m.add(b.Len())
		last = seq
		b.Reset()
		f.free <- b.Builder
	}
	return nil
}

// whole reads the topic as an appliance does, into a durable log that nothing
// follows.
func (b *Bench) whole(ctx context.Context, opt kafka.Options, m *meter) error {
	return b.withBus(ctx, 0, func(dir string, bus *jetstream.Bus) (err error) {
		letters, err := deadletter.Open(deadletter.Options{Dir: filepath.Join(dir, "letters")})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, letters.Close()) }()
		pump := bridge.New(bus, nil, bridge.Options{})
		opt.Into, opt.Letters = pump, letters
		opt.Observe = func(n kafka.Counts) { m.add(n.Accepted) }
		source, err := kafka.New(opt)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var wg sync.WaitGroup
		failures := make([]error, 2)
		wg.Go(func() { failures[0] = source.Run(ctx); cancel() })
		wg.Go(func() { failures[1] = pump.Run(ctx); cancel() })
		select {
		case <-m.done:
		case <-ctx.Done():
		}
		cancel()
		wg.Wait()
		if s := source.Status(); m.n != m.all {
			failures = append(failures, fmt.Errorf("of %d records %d were taken: %s", m.all, m.n, s.Error))
		}
		return errors.Join(failures...)
	})
}
