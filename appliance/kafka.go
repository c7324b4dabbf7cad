package appliance

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"vitrine/appliance/httpapi"
	"vitrine/appliance/httpapi/adminapi"
	"vitrine/bridge/kafka"
)

// openKafka makes the source of the configured topics; nothing is connected yet.
func (a *Appliance) openKafka() error {
	if len(a.config.Kafka.Brokers) == 0 {
		return nil
	}
	instance, err := a.instance()
	if err != nil {
		return err
	}
	opt := a.config.Kafka.Options()
	opt.Instance, opt.Into, opt.Letters, opt.Types = instance, a.parts.pump, a.parts.letters, a.parts.signal
	opt.Observe = func(n kafka.Counts) {
		a.metrics.Ingested(httpapi.Ingested{
			Accepted: n.Accepted, Duplicate: n.Duplicate, Rejected: n.Rejected, UnknownFields: n.UnknownFields, Clamped: n.Clamped,
		})
	}
	opt.Log, opt.Now = a.log, a.now
	if a.parts.kafka, err = kafka.New(opt); err != nil {
		return &Fault{Op: "read Kafka", Err: err, Hint: "the keys of [kafka] in the configuration"}
	}
	return nil
}

// instance is the name of this data folder among others, made on first use.
func (a *Appliance) instance() (string, error) {
	path := a.folder.path("state", "instance")
	text, err := os.ReadFile(path)
	if err == nil && len(strings.TrimSpace(string(text))) > 0 {
		return strings.TrimSpace(string(text)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the name of the data folder: %w", err)
	}
	name := strings.ToLower(rand.Text()[:16])
	if err := os.WriteFile(path, []byte(name+"\n"), 0o640); err != nil {
		return "", fmt.Errorf("name the data folder: %w", err)
	}
	return name, nil
}

// kafkaStatus is the source's part of the pipeline; nil without one.
func (a *Appliance) kafkaStatus() *adminapi.PipelineKafka {
	if a.parts.kafka == nil {
		return nil
	}
	s := a.parts.kafka.Status()
	out := &adminapi.PipelineKafka{
		Connected: s.Connected, Accepted: int64(s.Counts.Accepted), Duplicate: int64(s.Counts.Duplicate), Rejected: int64(s.Counts.Rejected),
		Partitions: []adminapi.PipelinePartition{},
	}
	if s.Error != "" {
		out.Error, out.Hint = &s.Error, &s.Hint
	}
	for _, p := range s.Partitions {
		out.Lag += p.Lag()
		out.Partitions = append(out.Partitions, adminapi.PipelinePartition{
			Topic: p.Topic, Partition: p.Partition, Position: p.Position, End: p.End, Lag: p.Lag(),
		})
	}
	return out
}

// kafkaLag collects what the source's figures are, by partition.
type kafkaLag struct{ source *kafka.Source }

func (k kafkaLag) lag() *prometheus.Desc {
	return prometheus.NewDesc("vitrine_kafka_lag", "Records of a partition that are in the cluster and not here yet.", []string{"topic", "partition"}, nil)
}

func (k kafkaLag) connected() *prometheus.Desc {
	return prometheus.NewDesc("vitrine_kafka_connected", "1 while the topics are being read, 0 while something is wrong with the cluster.", nil, nil)
}

// Describe implements prometheus.Collector.
func (k kafkaLag) Describe(ch chan<- *prometheus.Desc) { ch <- k.lag(); ch <- k.connected() }

// Collect implements prometheus.Collector.
func (k kafkaLag) Collect(ch chan<- prometheus.Metric) {
	s := k.source.Status()
	up := 0.0
	if s.Connected {
		up = 1
	}
	ch <- prometheus.MustNewConstMetric(k.connected(), prometheus.GaugeValue, up)
	for _, p := range s.Partitions {
		ch <- prometheus.MustNewConstMetric(k.lag(), prometheus.GaugeValue, float64(p.Lag()), p.Topic, fmt.Sprint(p.Partition))
	}
}
