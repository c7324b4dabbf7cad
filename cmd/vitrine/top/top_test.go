package top

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"vitrine/appliance/client"
)

func text(requests string, answers, live, accepted string) string {
	return `# HELP vitrine_answers_total Lists.
vitrine_answers_total{reason="",source="live"} ` + live + `
vitrine_answers_total{reason="no_model",source="popular"} ` + answers + `
vitrine_http_requests_total{code="200",route="/v1/recommend"} 7
vitrine_http_requests_total{code="503",route="/v1/events"} ` + requests + `
vitrine_http_request_duration_seconds_bucket{code="200",route="/v1/recommend",le="0.001"} ` + live + `
vitrine_http_request_duration_seconds_bucket{code="200",route="/v1/recommend",le="0.01"} ` + requests + `00
vitrine_http_request_duration_seconds_bucket{code="200",route="/v1/recommend",le="+Inf"} ` + requests + `00
vitrine_ingest_records_total{result="accepted"} ` + accepted + `
vitrine_model_age_seconds 7300
vitrine_model_info{version="v3"} 1
no metric
`
}

func TestView(t *testing.T) {
	at := time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)
	p := &client.Pipeline{}
	p.Bus.State, p.Bus.Appends, p.Bus.AppendSeconds, p.Bus.MaxBytes, p.Bus.Bytes = "ok", 10, 1, 8<<30, 3<<20
	before := &sample{at: at, pipeline: p, metrics: parse(text("1", "10", "20", "1000"))}
	q := *p
	q.Bus.State, q.Bus.Error = "aside", new("the cluster is away")
	q.Bus.Appends, q.Bus.AppendSeconds, q.Bus.AsideFrames = 20, 1.05, 12
	for i := range int64(7) {
		q.Bus.Wanted = append(q.Bus.Wanted, client.PipelineWanted{Topic: "user-events", Partition: int32(i), From: 7, To: new(int64(9))})
	}
	q.Bus.Wanted[1].To, q.Bus.Wanted[1].Error, q.Bus.Wanted[1].Hint = nil, new("no Kafka is configured"), new("set kafka.brokers")
	q.Bus.Missed, q.Bus.MissedUnlisted = []client.PipelineMissed{{}}, 2
	q.Kafka = &client.PipelineKafka{Lag: 5, Error: new("the brokers refuse the login"), Hint: new("check the password")}
	q.Kafka.Partitions = []client.PipelinePartition{{Topic: "user-events", Partition: 1, Lag: 1}, {Topic: "user-events", Partition: 2, Lag: 4}}
	q.Archive.Copy = &client.PipelineCopy{Lag: 7, WaitingFiles: 3, URL: "hdfs://nn1:9000/shop", Error: new("nn1:9000 has been silent for 4s"), Hint: new("look at its log")}
	v := (&sample{at: at.Add(2 * time.Second), pipeline: &q, metrics: parse(text("3", "20", "50", "9000"))}).since(before)
	if v.Answers != 20 || *v.Live != 0.75 || v.Failed != 1 || v.Accepted != 4000 || *v.P99 != 10 || v.Model != "v3" || *v.Append < 4.99 || *v.Append > 5.01 {
		t.Fatalf("%+v", v)
	}
	page := strings.Join(v.page(), "\n")
	for _, want := range []string{
		"answers      20/s", "live 75.0 %", "4,000/s accepted", "aside", "3.0 MiB of 8.0 GiB", "12 frames are kept aside", "! the cluster is away",
		"v3   2 h old", "! the brokers refuse the login", "check the password", "append 5.00 ms",
		"read again: user-events partition 0 from 7 to 8", "partition 1 from 7 on\n             ! no Kafka is configured\n               set kafka.brokers\n", "and 2 more", "3 ranges were not read again",
		"copy         waiting   frame 0   7 behind", "             3 wait", "hdfs://nn1:9000/shop", "! nn1:9000 has been silent for 4s", "look at its log",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	if strings.Index(page, "        2") > strings.LastIndex(page, "        1 ") {
		t.Errorf("the partition that lags most is not the first:\n%s", page)
	}
	if line := v.line(); strings.Contains(line, "\n") || !strings.Contains(line, "bus=aside") || !strings.Contains(line, "copy=waiting copy_lag=7 kafka=away kafka_lag=5 wanted=7") {
		t.Error(line)
	}
	for _, line := range v.page() {
		if len(line) > 80 {
			t.Errorf("longer than a terminal's line: %q", line)
		}
	}
	unasked := (&sample{at: at.Add(4 * time.Second), pipeline: p, metrics: before.metrics}).since(before)
	if line := unasked.line(); !strings.Contains(line, " p99_ms=- live=- ") || !strings.Contains(line, " append_ms=- ") {
		t.Errorf("what is not known has a value: %s", line)
	}
	if text, err := json.Marshal(unasked); err != nil || !strings.Contains(string(text), `"live_share":null,"answer_p99_ms":null`) || !strings.Contains(string(text), `"append_ms":null`) {
		t.Errorf("what is not known has a value: %s, %v", text, err)
	}
	quiet := strings.Join(unasked.page(), "\n")
	if !strings.Contains(quiet, "answers      0/s   p99 -   live -") || strings.Contains(quiet, "copy ") || strings.Contains(quiet, "kafka ") {
		t.Errorf("without answers, a copy and topics:\n%s", quiet)
	}
}

// Of what took longer than the last bucket's bound that bound is a lower one.
func TestBeyondTheLastBucket(t *testing.T) {
	const series = `vitrine_http_request_duration_seconds_bucket{code="200",route="/v1/recommend",le="`
	now := metrics{series + `5"}`: 3, series + `+Inf"}`: 7}
	v := &view{}
	bound, beyond, ok := quantile(now, metrics{}, 0.99)
	v.P99, v.Beyond = new(1000*bound), beyond
	if got := v.served(); !ok || got != "p99 above 5000 ms   live -" {
		t.Errorf("%q, known %v", got, ok)
	}
}

// A page is cut to the terminal, and says that it is.
func TestDraw(t *testing.T) {
	var b bytes.Buffer
	if err := draw(&b, []string{"aaaaaaaaaa", "b", "c", "d"}, 5, 3); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); !strings.Contains(got, "aaaaa\x1b[K\r\nb\x1b[K\r\n... 2\x1b[K") || strings.Contains(got, "aaaaaa") || strings.Count(got, "\n") != 2 {
		t.Errorf("%q", got)
	}
}
