package topics

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"vitrine/bridge/deadletter"
	"vitrine/bridge/kafka"
	"vitrine/internal/logkey"
)

// tellEvery is how often the log is told that records of a topic are refused.
const tellEvery = 5 * time.Minute

// letters tells the log of records that become dead letters. Where all of a topic do,
// as with field names that kafka.map does not have, nothing comes in and nothing else
// is wrong.
type letters struct {
	kafka.Letters
	log *slog.Logger
	now func() time.Time

	mu sync.Mutex
	// topics are those of the configuration, three at most.
	topics map[string]*refusals
}

// refusals are those of one topic: when the log was told last, and how many there were
// since.
type refusals struct {
	told  time.Time
	count int
}

// Add implements kafka.Letters. Those that are read again after a start are known.
func (l *letters) Add(ctx context.Context, some []deadletter.Letter) (added int, err error) {
	if added, err = l.Letters.Add(ctx, some); err != nil || added == 0 {
		return added, err
	}
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range some {
		r := l.topics[some[i].Source]
		if r == nil {
			r = new(refusals)
			l.topics[some[i].Source] = r
		}
		r.count++
	}
	for i := range some {
		if r := l.topics[some[i].Source]; r.count > 0 && now.Sub(r.told) >= tellEvery {
			l.tell(&some[i], r.count)
			*r = refusals{told: now}
		}
	}
	return added, nil
}

// tell names one of the records that were refused.
func (l *letters) tell(one *deadletter.Letter, count int) {
	l.log.Warn("kafka: records are refused and kept as dead letters", logkey.Source, one.Source, logkey.Count, count,
		logkey.Partition, one.Partition, logkey.First, one.Offset, logkey.Code, one.Code, logkey.Reason, one.Detail,
		logkey.Hint, "vitrine deadletters list; where kafka.format, kafka.map or ingest.types have to be mended, vitrine deadletters replay takes what has become readable")
}
