package top

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"vitrine/appliance/client"
)

// metrics are the series of a scrape: the name with its labels, as it is
// written, and the value.
type metrics map[string]float64

// parse reads the Prometheus text format; lines that are none are passed over.
func parse(text string) metrics {
	m := metrics{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		at := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || at < 0 {
			continue
		}
		if v, err := strconv.ParseFloat(line[at+1:], 64); err == nil {
			m[line[:at]] = v
		}
	}
	return m
}

// sum adds up the series of a name whose labels contain all of the parts.
func (m metrics) sum(name string, parts ...string) (total float64) {
	for series, v := range m {
		rest, ok := strings.CutPrefix(series, name)
		if !ok || rest != "" && rest[0] != '{' {
			continue
		}
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(rest, part) }) {
			total += v
		}
	}
	return total
}

// view is what is shown of two looks.
type view struct {
	Time time.Time `json:"time"`
	// Answers are lists a second, Live the share of them that is live, P99 an
	// upper bound in milliseconds, or a lower one where Beyond is set: there is no
	// bucket above it. Both are nil when there were no lists.
	Answers float64  `json:"answers_per_second"`
	Live    *float64 `json:"live_share"`
	P99     *float64 `json:"answer_p99_ms"`
	Beyond  bool     `json:"-"`
	Failed  float64  `json:"server_errors_per_second"`
	// What came in, in records a second.
	Accepted  float64 `json:"accepted_per_second"`
	Duplicate float64 `json:"duplicate_per_second"`
	Rejected  float64 `json:"rejected_per_second"`
	// Append is the time of an append in milliseconds, nearly all of it fsync; nil
	// when there was none.
	Append   *float64         `json:"append_ms"`
	Model    string           `json:"model,omitempty"`
	ModelAge float64          `json:"model_age_seconds"`
	Pipeline *client.Pipeline `json:"pipeline"`
}

// since is what happened between two looks.
func (s *sample) since(before *sample) *view {
	seconds := s.at.Sub(before.at).Seconds()
	rate := func(name string, parts ...string) float64 {
		return max(0, s.metrics.sum(name, parts...)-before.metrics.sum(name, parts...)) / seconds
	}
	v := &view{
		Time: s.at.UTC().Truncate(time.Millisecond), Answers: rate("vitrine_answers_total"), Pipeline: s.pipeline,
		Failed:   rate("vitrine_http_requests_total", `code="5`),
		Accepted: rate("vitrine_ingest_records_total", `result="accepted"`), Duplicate: rate("vitrine_ingest_records_total", `result="duplicate"`),
		Rejected: rate("vitrine_ingest_records_total", `result="rejected"`),
		ModelAge: s.metrics.sum("vitrine_model_age_seconds"),
	}
	if v.Answers > 0 {
		v.Live = new(rate("vitrine_answers_total", `source="live"`) / v.Answers)
	}
	if bound, beyond, known := quantile(s.metrics, before.metrics, 0.99); known {
		v.P99, v.Beyond = new(1000*bound), beyond
	}
	if appends := s.pipeline.Bus.Appends - min(before.pipeline.Bus.Appends, s.pipeline.Bus.Appends); appends > 0 {
		v.Append = new(1000 * (s.pipeline.Bus.AppendSeconds - before.pipeline.Bus.AppendSeconds) / float64(appends))
	}
	for series := range s.metrics {
		if rest, ok := strings.CutPrefix(series, `vitrine_model_info{version="`); ok {
			v.Model = strings.TrimSuffix(rest, `"}`)
		}
	}
	return v
}

// quantile is the upper end of the bucket that holds the quantile of the lists'
// latency, in seconds; where that has none, it is beyond the lower end. Without
// lists it is not known.
func quantile(now, before metrics, q float64) (bound float64, beyond, known bool) {
	counts := map[float64]float64{}
	for series, v := range now {
		if !strings.HasPrefix(series, "vitrine_http_request_duration_seconds_bucket{") || !strings.Contains(series, "recommend") {
			continue
		}
		_, rest, _ := strings.Cut(series, `le="`)
		text, _, _ := strings.Cut(rest, `"`)
		if le, err := strconv.ParseFloat(text, 64); err == nil {
			counts[le] += v - before[series]
		}
	}
	all := counts[math.Inf(1)]
	bounds := make([]float64, 0, len(counts))
	for le := range counts {
		bounds = append(bounds, le)
	}
	slices.Sort(bounds)
	for i, le := range bounds {
		if all > 0 && counts[le] >= q*all {
			if math.IsInf(le, 1) && i > 0 {
				return bounds[i-1], true, true
			}
			return le, false, true
		}
	}
	return 0, false, false
}

// known writes a value, "-" where it is not known.
func known(format string, v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf(format, *v)
}

// line is the view on one line.
func (v *view) line() string {
	p := v.Pipeline
	live := v.Live
	if live != nil {
		live = new(100 * *live)
	}
	out := fmt.Sprintf("%s answers=%.0f/s p99_ms=%s live=%s errors=%.0f/s accepted=%.0f/s duplicate=%.0f/s rejected=%.0f/s bus=%s bus_bytes=%d append_ms=%s archive_lag=%d deadletters=%d",
		v.Time.Format(time.RFC3339), v.Answers, known("%.4g", v.P99), known("%.0f%%", live), v.Failed, v.Accepted, v.Duplicate, v.Rejected,
		p.Bus.State, p.Bus.Bytes, known("%.2f", v.Append), p.Archive.Lag, p.Deadletters.Count)
	if c := p.Archive.Copy; c != nil {
		out += fmt.Sprintf(" copy=%s copy_lag=%d", copyState(c), c.Lag)
	}
	if p.Kafka != nil {
		out += fmt.Sprintf(" kafka=%s kafka_lag=%d", kafkaState(p.Kafka), p.Kafka.Lag)
	}
	if n := len(p.Bus.Wanted); n > 0 {
		out += fmt.Sprintf(" wanted=%d", n)
	}
	return out
}

// page is the view as lines of a terminal.
func (v *view) page() []string {
	p := v.Pipeline
	lines := []string{
		"vitrine top   " + v.Time.Format("15:04:05") + " UTC   Ctrl-C ends", "",
		fmt.Sprintf("answers      %s/s   %s   server errors %s/s", count(v.Answers), v.served(), count(v.Failed)),
		fmt.Sprintf("events       %s/s accepted   %s/s duplicate   %s/s rejected   %d waiting", count(v.Accepted), count(v.Duplicate), count(v.Rejected), p.Bus.Queued),
		fmt.Sprintf("bus          %-9s frames %d to %d   %s of %s", p.Bus.State, p.Bus.First, p.Bus.Last, size(p.Bus.Bytes), size(p.Bus.MaxBytes)),
		fmt.Sprintf("             append %s   %d refused   disk %s free", known("%.2f ms", v.Append), p.Bus.Refused, size(p.Bus.DiskFree)),
	}
	if p.Bus.AsideFrames > 0 {
		lines = append(lines, fmt.Sprintf("             %d frames are kept aside, %s", p.Bus.AsideFrames, size(p.Bus.AsideBytes)))
	}
	if p.Bus.LostFrames > 0 {
		lines = append(lines, fmt.Sprintf("             %d frames were damaged on the disk; lost in /v1/pipeline names them", p.Bus.LostFrames))
	}
	lines = fault(append(lines, again(p)...), p.Bus.Error, nil)
	state := "ok"
	if p.Archive.Error != nil {
		state = "waiting"
	}
	lines = append(lines, fmt.Sprintf("archive      %-9s frame %d   %d behind   %s records", state, p.Archive.Position, p.Archive.Lag, count(float64(p.Archive.Records))))
	if p.Archive.LastCommit != nil && p.Archive.CommitSeconds != nil {
		lines = append(lines, fmt.Sprintf("             last commit %s ago, took %.2f s", ago(v.Time.Sub(*p.Archive.LastCommit)), *p.Archive.CommitSeconds))
	}
	lines = fault(lines, p.Archive.Error, nil)
	if c := p.Archive.Copy; c != nil {
		lines = append(lines,
			fmt.Sprintf("copy         %-9s frame %d   %d behind   %s files, %s", copyState(c), c.Position, c.Lag, count(float64(c.Files)), size(uint64(c.Bytes))),
			fmt.Sprintf("             %d wait, %s   %s", c.WaitingFiles, size(uint64(c.WaitingBytes)), c.URL))
		lines = fault(lines, c.Error, c.Hint)
	}
	lines = append(lines, fmt.Sprintf("dead letters %d   %s   %d dropped", p.Deadletters.Count, size(uint64(p.Deadletters.Bytes)), p.Deadletters.Dropped))
	model := "none: popular items are shown"
	if v.Model != "" {
		model = v.Model + "   " + ago(time.Duration(v.ModelAge*float64(time.Second))) + " old"
	}
	return append(append(lines, "model        "+model), v.topics()...)
}

// wantedMost bounds the lines of what is to be read again.
const wantedMost = 5

// again is what of topics was in damaged frames: what is to be read again, and what
// was not.
func again(p *client.Pipeline) (lines []string) {
	for i, w := range p.Bus.Wanted {
		if i == wantedMost {
			lines = append(lines, fmt.Sprintf("             and %d more", len(p.Bus.Wanted)-i))
			break
		}
		to := "on"
		if w.To != nil {
			to = fmt.Sprint("to ", *w.To-1)
		}
		lines = fault(append(lines, fmt.Sprintf("             read again: %s partition %d from %d %s", w.Topic, w.Partition, w.From, to)), w.Error, w.Hint)
	}
	if n := len(p.Bus.Missed) + int(p.Bus.MissedUnlisted); n > 0 {
		lines = append(lines, fmt.Sprintf("             %d ranges were not read again; missed in /v1/pipeline names them", n))
	}
	return lines
}

// served is how lists were answered, where there were any.
func (v *view) served() string {
	p99, live := "-", "-"
	if v.P99 != nil {
		side := "below"
		if v.Beyond {
			side = "above"
		}
		p99 = fmt.Sprintf("%s %.4g ms", side, *v.P99)
	}
	if v.Live != nil {
		live = fmt.Sprintf("%.1f %%", 100**v.Live)
	}
	return "p99 " + p99 + "   live " + live
}

func copyState(c *client.PipelineCopy) string {
	if c.Error != nil {
		return "waiting"
	}
	return "ok"
}

func kafkaState(k *client.PipelineKafka) string {
	if !k.Connected {
		return "away"
	}
	return "ok"
}

// topics are the lines of Kafka, the partitions that lag most first.
func (v *view) topics() []string {
	k := v.Pipeline.Kafka
	if k == nil {
		return nil
	}
	lines := fault([]string{fmt.Sprintf("kafka        %-9s %d behind   %s accepted   %s duplicate   %s rejected", kafkaState(k), k.Lag,
		count(float64(k.Accepted)), count(float64(k.Duplicate)), count(float64(k.Rejected)))}, k.Error, k.Hint)
	if len(k.Partitions) == 0 {
		return lines
	}
	lines = append(lines, "", fmt.Sprintf("%-27s %9s %14s %14s %12s", "topic", "partition", "position", "end", "lag"))
	partitions := slices.Clone(k.Partitions)
	slices.SortStableFunc(partitions, func(a, b client.PipelinePartition) int {
		return cmp.Or(cmp.Compare(b.Lag, a.Lag), cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	for _, q := range partitions {
		lines = append(lines, fmt.Sprintf("%-27.27s %9d %14d %14d %12d", q.Topic, q.Partition, q.Position, q.End, q.Lag))
	}
	return lines
}

// fault adds what is wrong, and what to do.
func fault(lines []string, err, hint *string) []string {
	if err != nil {
		lines = append(lines, "             ! "+*err)
	}
	if hint != nil && *hint != "" {
		lines = append(lines, "               "+*hint)
	}
	return lines
}

// count writes a number with its thousands apart.
func count(n float64) string {
	text := strconv.FormatInt(int64(math.Round(n)), 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func size(n uint64) string {
	f, unit := float64(n), "B"
	for _, u := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if f < 1024 {
			break
		}
		f, unit = f/1024, u
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, unit)
}

func ago(d time.Duration) string {
	switch d = max(d, 0); {
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.0f h", d.Hours())
	}
	return fmt.Sprintf("%.0f days", d.Hours()/24)
}
