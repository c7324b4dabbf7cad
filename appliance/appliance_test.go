package appliance

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vitrine/appliance/config"
	"vitrine/appliance/httpapi/adminapi"
)

// shopEvents is a shop of three groups of users and items, in the order of
// time, the newest event an hour old.
func shopEvents(users, events int, id string) []string {
	random := rand.New(rand.NewPCG(11, 11))
	begin := time.Now().Add(-time.Hour).UnixMilli() - int64(events)*60_000
	var out []string
	for n := range events {
		user := random.IntN(users)
		item := user%3*15 + min(random.IntN(15), random.IntN(15))
		kind := []string{"view", "view", "cart", "purchase"}[random.IntN(4)]
		extra := ""
		if id != "" {
			extra = fmt.Sprintf(`,"event_id":"%s-%d"`, id, n)
		}
		out = append(out, eventJSON(fmt.Sprintf("u%d", user), fmt.Sprintf("i%d", item), kind, begin+int64(n)*60_000, extra))
	}
	return out
}

// TestFromEventToAnswer walks the whole way: events, training, live answers,
// an event that changes the next answer, a restart that changes nothing.
func TestFromEventToAnswer(t *testing.T) {
	dir := shortDir(t)
	r := run(t, dir, nil)
	if l := r.recommend("user_id=u1"); l.Source != "empty" {
		t.Errorf("an empty shop answers %+v", l)
	}
	r.post(shopEvents(60, 3000, "e")...)
	if l := r.recommend("user_id=u1"); l.Source != "popular" || l.Reason != "no_model" || len(l.Items) != 20 {
		t.Errorf("before training: %+v", l)
	}
	version := r.trained()
	before := r.recommend("user_id=u1&limit=10&exclude_seen=true")
	if before.Source != "live" || before.Model.Version != version {
		t.Errorf("after training: %+v", before)
	}
	own := 0
	for _, it := range r.recommend("user_id=u1&limit=10").Items {
		var n int
		if _, err := fmt.Sscanf(it.ItemID, "i%d", &n); err == nil && n/15 == 1 {
			own++
		}
	}
	if own < 9 {
		t.Errorf("%d of 10 items are of the user's group", own)
	}
	r.post(eventJSON("u1", "i40", "purchase", 0, ""), eventJSON("stranger", "i40", "purchase", 0, ""))
	after := r.recommend("user_id=u1&limit=10&exclude_seen=true")
	if fmt.Sprint(before.Items) == fmt.Sprint(after.Items) {
		t.Error("a purchase changed nothing")
	}
	if l := r.recommend("user_id=stranger&limit=5"); l.Source != "live" {
		t.Errorf("a stranger after one event: %+v", l)
	}
	r.close()

	r = run(t, dir, nil)
	if again := r.recommend("user_id=u1&limit=10&exclude_seen=true"); fmt.Sprint(again) != fmt.Sprint(after) {
		t.Errorf("after a restart %+v, before %+v", again, after)
	}
	if out := r.post(shopEvents(60, 3000, "e")...); out.Duplicate != 3000 {
		t.Errorf("sent again after a restart: %+v", out)
	}
	if again := r.recommend("user_id=u1&limit=10&exclude_seen=true"); fmt.Sprint(again) != fmt.Sprint(after) {
		t.Errorf("after events that were known %+v, before %+v", again, after)
	}
	r.close()
}

func TestJobsExcludeEachOther(t *testing.T) {
	r := run(t, shortDir(t), nil)
	r.role("hangs")
	var job, second adminapi.Job
	if code := r.call("POST", "/v1/jobs", `{"kind":"train"}`, &job); code/100 != 2 {
		t.Fatalf("start: %d", code)
	}
	for _, body := range []string{`{"kind":"train"}`, `{"kind":"eval"}`} {
		var problem struct{ Code, Detail string }
		if code := r.call("POST", "/v1/jobs", body, &problem); code != http.StatusConflict || problem.Code != "job_running" || !strings.Contains(problem.Detail, job.ID) {
			t.Errorf("%s while a job runs: %d %+v", body, code, problem)
		}
	}
	if r.call("GET", "/v1/jobs/"+job.ID, "", &second); second.State != adminapi.Running {
		t.Errorf("job %+v", second)
	}
	r.close() // while it runs; the child would hang for an hour
	if left, _ := filepath.Glob(filepath.Join(r.dir, "models", "*.tmp")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	if strings.Contains(r.log.String(), "level=ERROR") {
		t.Errorf("a stop logs errors:\n%s", r.log)
	}
}

// TestDeadChildIsAFailedJob: the daemon goes on, and the next training works.
func TestDeadChildIsAFailedJob(t *testing.T) {
	r := run(t, shortDir(t), nil)
	r.post(shopEvents(60, 2000, "")...)
	r.role("is killed")
	if job := r.train(); job.State != adminapi.Failed || !strings.Contains(job.Error, "killed") {
		t.Errorf("job %+v", job)
	}
	if l := r.recommend("user_id=u1"); l.Source != "popular" {
		t.Errorf("answer %+v", l)
	}
	r.role("")
	r.trained()
	r.close()
}

// TestRefusedModelIsNotServed: too little data is a verdict, no failure.
func TestRefusedModelIsNotServed(t *testing.T) {
	r := run(t, shortDir(t), nil)
	r.post(eventJSON("u", "i", "view", 0, ""))
	job := r.train()
	if job.State != adminapi.Done || job.Verdict == nil || job.Verdict.Published || !strings.Contains(job.Verdict.Reason, "too little data") {
		t.Errorf("job %+v, verdict %+v", job, job.Verdict)
	}
	if l := r.recommend("user_id=u"); l.Source != "popular" || l.Reason != "no_model" {
		t.Errorf("answer %+v", l)
	}
	r.close()
}

// TestModelThatCannotBePublished leaves nothing behind that fills the disk.
func TestModelThatCannotBePublished(t *testing.T) {
	r := newRig(t, shortDir(t), nil)
	now := time.Now()
	r.app.now = func() time.Time { return now } // every version has the same name
	r.start()
	r.post(shopEvents(60, 2000, "")...)
	version := r.trained()
	if job := r.train(); job.State != adminapi.Failed || !strings.Contains(job.Error, "exists") {
		t.Errorf("job %+v", job)
	}
	if l := r.recommend("user_id=u1"); l.Model.Version != version {
		t.Errorf("%s serves", l.Model.Version)
	}
	if left, _ := filepath.Glob(filepath.Join(r.dir, "models", "*.tmp")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	r.close()
}

func TestRollbackHoldsOverARestart(t *testing.T) {
	dir := shortDir(t)
	r := run(t, dir, nil)
	events := shopEvents(60, 3000, "")
	r.post(events[:2000]...)
	first := r.trained()
	r.post(events[2000:]...)
	second := r.trained()
	if l := r.recommend("user_id=u1"); first == second || l.Model.Version != second {
		t.Fatalf("versions %s and %s, served %s", first, second, l.Model.Version)
	}
	var model adminapi.Model
	if code := r.call("POST", "/v1/models/rollback", "", &model); code != http.StatusOK || model.Version != first {
		t.Errorf("rollback: %d %+v", code, model)
	}
	if l := r.recommend("user_id=u1"); l.Model.Version != first {
		t.Errorf("after the rollback %s serves", l.Model.Version)
	}
	if code := r.call("POST", "/v1/models/rollback", "", nil); code != http.StatusConflict {
		t.Errorf("a rollback to nothing: %d", code)
	}
	r.close()
	r = run(t, dir, nil)
	if l := r.recommend("user_id=u1"); l.Model.Version != first {
		t.Errorf("after a restart %s serves", l.Model.Version)
	}
	r.close()
}

// TestScheduleTrainsWhenThereIsNews: by itself, again after new events, and
// not without.
func TestScheduleTrainsWhenThereIsNews(t *testing.T) {
	r := run(t, shortDir(t), func(c *config.Config) { c.Train.Schedule = 150 * time.Millisecond })
	events := shopEvents(60, 3000, "")
	// live waits for a model that is none of those; a list that is late has none.
	live := func(what string, but ...string) (version string) {
		r.until(what, func() bool {
			version = r.recommend("user_id=u1").Model.Version
			return version != "" && !slices.Contains(but, version)
		})
		return version
	}
	r.post(events[:2000]...)
	first := live("the first model")
	r.post(events[2000:]...)
	second := live("a second model", first)
	time.Sleep(600 * time.Millisecond)
	if third := live("a model"); third != second {
		t.Errorf("%s was trained without new events", third)
	}
	r.close()
}

// TestScheduleCountsFromTheLiveModel: a restart does not put the next training
// off, and a model that was rolled back does not come again without news.
func TestScheduleCountsFromTheLiveModel(t *testing.T) {
	dir := shortDir(t)
	events := shopEvents(60, 3000, "")
	r := run(t, dir, nil)
	r.post(events[:2000]...)
	first := r.trained()
	r.post(events[2000:]...)
	r.close()

	r = newRig(t, dir, func(c *config.Config) { c.Train.Schedule = time.Hour })
	r.app.now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	r.start()
	r.until("the training that is due", func() bool {
		version := r.recommend("user_id=u1").Model.Version
		return version != "" && version != first
	})
	r.close()

	r = run(t, dir, func(c *config.Config) { c.Train.Schedule = 100 * time.Millisecond })
	if code := r.call("POST", "/v1/models/rollback", "", nil); code != http.StatusOK {
		t.Fatalf("rollback: %d", code)
	}
	time.Sleep(500 * time.Millisecond)
	if l := r.recommend("user_id=u1"); l.Model.Version != first {
		t.Errorf("%s serves after the rollback to %s", l.Model.Version, first)
	}
	r.close()
}

// TestImportThatIsCutIsRepeated: what came before the cut counts once.
func TestImportThatIsCutIsRepeated(t *testing.T) {
	dir := shortDir(t)
	r := run(t, dir, nil)
	var csv strings.Builder
	csv.WriteString("user_id,item_id,event_type,ts,value,attr\n")
	const rows = 30_000
	for n := range rows {
		fmt.Fprintf(&csv, "u%d,i%d,purchase,%d,%d,x\n", n%500, n%77, 1_700_000_000_000+int64(n)*1000, n%5)
	}
	const path = "/v1/import?kind=events&name=a.csv&map=user_id=user_id,item_id=item_id,event_type=event_type,ts=ts,value=value"
	cut, sender := io.Pipe()
	go func() {
		_, _ = io.WriteString(sender, csv.String()[:csv.Len()/2])
		r.until("rows have come in", func() bool { return r.app.parts.pump.Stats().Accepted > 0 })
		sender.CloseWithError(errors.New("the connection breaks"))
	}()
	req, err := http.NewRequest("POST", "http://vitrine"+path, cut)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	if resp, err := r.client.Do(req); err == nil {
		t.Errorf("the cut import answers %s", resp.Status)
		resp.Body.Close()
	}
	var first taken
	if code := r.call("POST", path, csv.String(), &first); code != http.StatusOK || first.Read != rows || first.Duplicate < 1000 || first.Accepted+first.Duplicate != rows {
		t.Errorf("second import: %d %+v", code, first)
	}
	r.close()
	r = run(t, dir, nil)
	var again taken
	if code := r.call("POST", strings.Replace(path, "a.csv", "b.csv", 1), csv.String(), &again); code != http.StatusOK || again.Duplicate != rows {
		t.Errorf("third import, renamed, after a restart: %d %+v", code, again)
	}
	r.close()
	if n := archivedEvents(t, dir); n != rows {
		t.Errorf("%d rows in the archive", n)
	}
}
