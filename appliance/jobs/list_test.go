package jobs

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"vitrine/appliance/httpapi"
	"vitrine/appliance/httpapi/adminapi"
)

// TestOneJobAtATime: while one runs a second is refused by name; then it is
// remembered with what came of it, and of many jobs the newest.
func TestOneJobAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := list{now: time.Now}
		goOn := make(chan struct{})
		failed := errors.New("no space")
		first, err := l.start(t.Context(), adminapi.Train, func(_ context.Context, tell func(adminapi.JobProgress)) (*adminapi.TrainReport, *adminapi.Verdict, error) {
			tell(adminapi.JobProgress{Stage: "fit", Done: 1, Total: 4})
			<-goOn
			return nil, nil, failed
		})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got, err := l.get(first.ID); err != nil || got.State != adminapi.Running || got.Progress == nil || got.Progress.Stage != "fit" {
			t.Errorf("while it runs: %+v, %v", got, err)
		}
		var refused *httpapi.Problem
		if _, err := l.start(t.Context(), adminapi.Eval, nil); !errors.As(err, &refused) || refused.Status != http.StatusConflict {
			t.Errorf("beside another: %v", err)
		}
		time.Sleep(time.Minute)
		close(goOn)
		l.wait()
		got, err := l.get(first.ID)
		if err != nil || got.State != adminapi.Failed || got.Error != failed.Error() || got.FinishedAt.Sub(*got.StartedAt) != time.Minute {
			t.Errorf("when it is over: %+v, %v", got, err)
		}
		for range keptJobs {
			if _, err := l.start(t.Context(), adminapi.Eval, func(context.Context, func(adminapi.JobProgress)) (*adminapi.TrainReport, *adminapi.Verdict, error) {
				return nil, &adminapi.Verdict{}, nil
			}); err != nil {
				t.Fatal(err)
			}
			l.wait()
		}
		all := l.all()
		if len(all) != keptJobs || all[0].ID != "eval-51" || all[0].State != adminapi.Done {
			t.Errorf("%d jobs, the newest %+v", len(all), all[0])
		}
		if _, err := l.get(first.ID); !errors.Is(err, httpapi.ErrNotFound) {
			t.Errorf("the oldest: %v", err)
		}
	})
}
