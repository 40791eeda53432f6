package deadletter

import (
	"context"
	"fmt"
	"time"
)

// DiscardOptions say which letters are discarded, and where they are written first.
type DiscardOptions struct {
	Queue  string
	Filter Filter
	Limit  int // letters that are discarded; 0: all
	// Out is the file that letters are written to; it may be nil with DryRun.
	Out *DiscardFile
	// DryRun counts what would happen, and discards and writes nothing.
	DryRun bool
	// Progress, if not nil, is called for each message that was discarded or stays.
	Progress func(DiscardStep)
}

// DiscardStep is what happened to one message of a discard.
type DiscardStep struct {
	ID  string
	Err error // why it stays; nil if it was discarded
	// Summary counts all so far. Set is the number of letters in the set.
	Summary DiscardSummary
	Set     int
}

// DiscardSummary counts messages, as ReplaySummary does.
type DiscardSummary struct {
	Queue     string `json:"queue"`
	Discarded int    `json:"discarded"`
	Skipped   int    `json:"skipped"` // did not match
	Failed    int    `json:"failed"`  // stay in the queue; Progress has the reason
	Keys      int    `json:"keys"`    // distinct business keys of those that were discarded
	DryRun    bool   `json:"dry_run"`
}

func (s DiscardSummary) String() string {
	if s.DryRun {
		return fmt.Sprintf("would discard %d (%d orders), would skip %d", s.Discarded, s.Keys, s.Skipped)
	}
	return fmt.Sprintf("discarded %d, skipped %d, failed %d", s.Discarded, s.Skipped, s.Failed)
}

func discardSummary(s ReplaySummary) DiscardSummary {
	return DiscardSummary{Queue: s.Queue, Discarded: s.Replayed, Skipped: s.Skipped, Failed: s.Failed, Keys: s.Keys, DryRun: s.DryRun}
}

// Discard removes letters from the queue. Each is in Out, on the disk, before it leaves the queue. When Discard is killed no
// letter is lost, and some hundreds may be in both places. Of letters with one id, one is written and all leave. The set is
// what is in the queue when Discard begins. It fails as Replay does.
func (r *Reader) Discard(ctx context.Context, o DiscardOptions) (DiscardSummary, error) {
	run := &run{
		r: r, id: newReplayID(), began: time.Now(), reported: map[[6]byte]bool{}, keys: map[string]struct{}{},
		o:   ReplayOptions{Queue: o.Queue, Filter: o.Filter, Limit: o.Limit, DryRun: o.DryRun},
		sum: ReplaySummary{Queue: o.Queue, DryRun: o.DryRun},
	}
	if o.Progress != nil {
		run.o.Progress = func(s ReplayStep) {
			o.Progress(DiscardStep{ID: s.ID, Err: s.Err, Summary: discardSummary(s.Summary), Set: s.Set})
		}
	}
	run.move = func(_ context.Context, l letter) (wait pending, stays, err error) {
		line, stays := encode(l)
		if stays != nil || o.DryRun {
			return nil, stays, nil
		}
		end, err := o.Out.append(line)
		return func() (stays, err error) { return nil, o.Out.sync(end) }, nil, err
	}
	err := r.withQueue(ctx, o.Queue, func(s *lockedQueue) error { return run.runPass(ctx, s, everything) })
	run.sum.Keys = len(run.keys)
	r.o.Log.Info().Str("event", "dead_letters_discarded").Str("queue", o.Queue).Bool("dry_run", o.DryRun).Int("discarded", run.sum.Replayed).Int("skipped", run.sum.Skipped).
		Int("failed", run.sum.Failed).Err(err).Msg("dead letters discarded")
	return discardSummary(run.sum), err
}
