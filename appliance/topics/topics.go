// Package topics joins the source of topics with the appliance: the name of the
// data folder in the group, where partitions began, what of them is to be read again,
// what the log says of refused records, and the source's figures for the admin API and
// /metrics.
//
// It imports bridge, bridge/archive, bridge/deadletter, bridge/event and bridge/kafka,
// appliance/scrape, internal/durable, internal/logkey, the admin API's types and
// the metrics library.
package topics

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"vitrine/appliance/httpapi/adminapi"
	"vitrine/appliance/scrape"
	"vitrine/bridge/kafka"
)

// Open makes the source of the configured topics, which goes by the name that
// the file has or gets; nothing is connected yet. Log and Now of the options are needed.
func Open(opt kafka.Options, nameFile string) (*kafka.Source, error) {
	var err error
	if opt.Instance, err = instance(nameFile); err != nil {
		return nil, err
	}
	opt.Letters = &letters{Letters: opt.Letters, log: opt.Log, now: opt.Now, topics: map[string]*refusals{}}
	return kafka.New(opt)
}

// instance is the name of this data folder among others, made on first use.
func instance(path string) (string, error) {
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

// Status is the source's part of the pipeline; nil without one.
func Status(source *kafka.Source) *adminapi.PipelineKafka {
	if source == nil {
		return nil
	}
	s := source.Status()
	out := &adminapi.PipelineKafka{
		Connected: s.Connected, Accepted: int64(s.Counts.Accepted), Duplicate: int64(s.Counts.Duplicate), Rejected: int64(s.Counts.Rejected), Lost: s.Lost,
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

// Figures are the source's, for /metrics.
type Figures struct{ Source *kafka.Source }

func (f Figures) lag() *prometheus.Desc {
	return prometheus.NewDesc("vitrine_kafka_lag", "Records of a partition that are in the cluster and not here yet.", []string{"topic", "partition"}, nil)
}

func (f Figures) connected() *prometheus.Desc {
	return prometheus.NewDesc("vitrine_kafka_connected", "1 while the topics are being read, 0 while something is wrong with the cluster.", nil, nil)
}

// Describe implements prometheus.Collector.
func (f Figures) Describe(ch chan<- *prometheus.Desc) { ch <- f.lag(); ch <- f.connected() }

// Collect implements prometheus.Collector.
func (f Figures) Collect(ch chan<- prometheus.Metric) {
	s := f.Source.Status()
	ch <- prometheus.MustNewConstMetric(f.connected(), prometheus.GaugeValue, scrape.Flag(s.Connected))
	for _, p := range s.Partitions {
		ch <- prometheus.MustNewConstMetric(f.lag(), prometheus.GaugeValue, float64(p.Lag()), p.Topic, fmt.Sprint(p.Partition))
	}
}
