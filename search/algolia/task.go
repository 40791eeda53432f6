package algolia

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/mageline/mageline/event"
)

// maxPoll is the longest wait between two looks at a task.
const maxPoll = 5 * time.Second

// await waits until a task of an index is done.
func (e *Engine) await(ctx context.Context, name string, task int64) error {
	r := request{
		what: fmt.Sprintf("await task %d of index %s", task, name), method: http.MethodGet,
		path: path(name, "task", strconv.FormatInt(task, 10)),
	}
	for wait := e.poll; ; wait = min(wait+e.poll, maxPoll) {
		var answer struct {
			Status string `json:"status"`
		}
		if err := e.call(ctx, r, &answer); err != nil {
			return err
		}
		if answer.Status == "published" {
			return nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return &event.Error{
				Class: event.Timeout, Downstream: downstream,
				Err: fmt.Errorf("%s: it is queued and not done yet: %w", r.what, context.Cause(ctx)),
			}
		}
	}
}

// published waits until what was written can be read, so that a later write of the same version is seen to be later. It does not
// wait for long: the tasks are queued, and none is lost.
func (e *Engine) published(ctx context.Context, name string, tasks []int64) error {
	if len(tasks) == 0 {
		return nil
	}
	waiting, cancel := context.WithTimeout(ctx, taskWait)
	defer cancel()
	for i := len(tasks) - 1; i >= 0; i-- { // the last one is done last
		if err := e.await(waiting, name, tasks[i]); err != nil {
			if ctx.Err() == nil && waiting.Err() != nil {
				return nil
			}
			return err
		}
	}
	return nil
}
