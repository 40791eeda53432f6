package app

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/mageline/mageline/internal/inbox"
	"github.com/mageline/mageline/internal/periodic"
)

const (
	// untakenAfter is for how long a file that no pattern takes may lie before /readyz names it.
	untakenAfter = time.Hour
	// lookEvery is how often those files are looked at that were moved out of an inbox.
	lookEvery = 5 * time.Second
	// diskEvery is how often a disk is tried that is full or read-only.
	diskEvery = 5 * time.Second
)

// box is all that runs around one inbox, whatever is in its files.
type box struct {
	service  *Service
	consumer string // that handles its files
	dir      *inbox.Dir
	takes    func(path string) bool
	still    time.Duration
	tell     func(ctx context.Context, f inbox.Found) error

	watcher *inbox.Watcher
	full    chan struct{}
}

// wire returns what runs for the inbox beside its consumer.
func (b *box) wire() wired {
	log := b.service.log.With().Str("consumer", b.consumer).Logger()
	b.full = make(chan struct{}, 1)
	b.watcher = &inbox.Watcher{
		Dir: b.dir, Log: log, Takes: b.takes, Still: b.still, Tell: b.tell,
		Ready: func() bool { return b.service.runtime.Status().RabbitMQ.OK },
	}
	looker := &inbox.Looker{Dir: b.dir, Log: log}
	return wired{
		background: []func(context.Context){b.watcher.Run, b.watchDisk},
		tasks:      []periodic.Task{{Name: "look again at files of " + b.consumer, Every: lookEvery, Run: looker.Look}},
		problems:   b.problems,
	}
}

// outage pauses the consumer until files can be written again.
func (b *box) outage(err error) {
	if b.service.runtime.Outage(b.consumer, "the disk of the inbox is full or read-only: "+err.Error()) {
		b.service.log.Error().Str("event", "inbox_disk_full").Str("consumer", b.consumer).Str("directory", b.dir.Path).Err(err).
			Msg("the disk of the inbox is full or read-only: make room, or mount it for writing; it is tried again by itself")
	}
	select {
	case b.full <- struct{}{}:
	default:
	}
}

// watchDisk tries a disk that was full until it is not.
func (b *box) watchDisk(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.full:
		}
		tick := time.NewTicker(diskEvery)
		for err := b.dir.Writable(); inbox.DiskFull(err); err = b.dir.Writable() {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
			}
		}
		tick.Stop()
		b.service.runtime.Restored(b.consumer)
		b.service.log.Info().Str("event", "inbox_disk_back").Str("consumer", b.consumer).Str("directory", b.dir.Path).
			Msg("the disk of the inbox can be written to again")
	}
}

func (b *box) oldest() float64 {
	since, ok := b.watcher.Oldest()
	if !ok {
		return 0
	}
	return max(0, time.Since(since).Seconds())
}

// problems names files that nobody takes.
func (b *box) problems() []string {
	const most = 5
	files := b.watcher.Untaken(untakenAfter)
	if len(files) == 0 {
		return nil
	}
	named := make([]string, 0, most)
	for _, f := range files[:min(len(files), most)] {
		named = append(named, fmt.Sprintf("%q", f))
	}
	more := ""
	if n := len(files) - most; n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return []string{fmt.Sprintf("No pattern takes %s%s of %s, for longer than an hour: give them another name, or name them in a pattern.",
		strings.Join(named, ", "), more, b.dir.Path)}
}
