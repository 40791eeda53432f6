package deadletter

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"golang.org/x/time/rate"

	"github.com/mageline/mageline/rabbitmq"
)

// ReplayOptions say which letters are replayed, and how.
type ReplayOptions struct {
	Queue  string
	Filter Filter
	Limit  int     // letters that are replayed; 0: all
	Rate   float64 // letters a second; 0: as fast as it goes
	// To is the queue that letters go to, whatever they say themselves. Without it, one whose queue is outside of the
	// prefix stays.
	To string
	// DryRun publishes nothing and counts what would happen.
	DryRun bool
	// Progress, which may be nil, is told of each message that was replayed or could not be.
	Progress func(Step)
}

// Step is what happened to one message of a replay.
type Step struct {
	ID  string
	Err error // why it stays; nil if it was replayed
	// Summary is that of all so far, and Set the number of letters the replay goes through.
	Summary Summary
	Set     int
}

// Summary counts messages, not letters: two letters with one id count once.
type Summary struct {
	Queue    string `json:"queue"`
	Replayed int    `json:"replayed"`
	Skipped  int    `json:"skipped"` // did not match
	Failed   int    `json:"failed"`  // stay; Progress was told why
	DryRun   bool   `json:"dry_run"`
}

func (s Summary) String() string {
	return fmt.Sprintf("replayed %d, skipped %d, failed %d", s.Replayed, s.Skipped, s.Failed)
}

// Replay publishes letters back to the queues they were consumed from. Each leaves the dead-letter queue when its publish
// is confirmed: killed at any point, Replay loses none, and may publish one a second time. It goes through the letters
// that were there when it began. Of letters with one id, one is published and all leave.
//
// It fails with a *NoQueueError, *LockedError or *StoppedError, or when RabbitMQ or Postgres goes away; the Summary
// counts what was done also then.
func (r *Reader) Replay(ctx context.Context, o ReplayOptions) (Summary, error) {
	p := &replay{
		r: r, o: o, sum: Summary{Queue: o.Queue, DryRun: o.DryRun},
		exists: map[string]bool{}, fates: map[[6]byte]*fate{}, began: time.Now(),
	}
	if o.To == o.Queue {
		return p.sum, fmt.Errorf("letters of %s can't be replayed to %s itself", o.Queue, o.To)
	}
	p.id = newReplayID()
	p.move = p.publish
	if o.Rate > 0 {
		p.turns = rate.NewLimiter(rate.Limit(o.Rate), 1)
	}
	err := r.read(ctx, o.Queue, func(h *hold) (err error) {
		p.h = h
		if p.publisher, err = r.publisher(ctx); err != nil {
			return err
		}
		defer p.publisher.Close()
		return p.run(ctx)
	})
	r.o.Log.Info().Str("queue", o.Queue).Str("replay_id", p.id).Bool("dry_run", o.DryRun).Int("replayed", p.sum.Replayed).
		Int("skipped", p.sum.Skipped).Int("failed", p.sum.Failed).Err(err).Msg("dead letters replayed")
	return p.sum, err
}

// newReplayID names one run, so that what comes back dead from it is told from what was there before.
func newReplayID() string { return rand.Text()[:16] }

func (r *Reader) publisher(ctx context.Context) (*rabbitmq.Publisher, error) {
	conn, err := rabbitmq.Dial(ctx, r.o.Broker, "mageline "+r.o.Host+" replay")
	if err != nil {
		return nil, err
	}
	publisher, err := rabbitmq.NewPublisher(conn)
	if err != nil {
		rabbitmq.Close(conn)
		return nil, err
	}
	return publisher, nil
}

// replay is one run of Replay, or of Discard.
type replay struct {
	r         *Reader
	o         ReplayOptions
	id        string
	began     time.Time
	h         *hold
	publisher *rabbitmq.Publisher
	turns     *rate.Limiter // nil: no rate
	hasTurn   bool
	stopped   bool // held for too long: nothing more is published
	ended     bool // the set has ended before its number
	sum       Summary
	exists    map[string]bool // target queues, as a dry run has found them
	// fates has what became of each message, so that all letters of one id share it.
	fates map[[6]byte]*fate
	// move takes a letter out of the queue's reach: publishes it, or for a discard writes it down. stays says why it can't be, with
	// others going on; err is of the run.
	move func(context.Context, letter) (stays, err error)
}

type fate struct {
	outcome outcome
	tags    []uint64 // that are held
}

type outcome int

const (
	skipped outcome = iota
	failed
	left // matched, and was beyond the limit
	replayed
)

func (p *replay) run(ctx context.Context) error {
	// The set is gone through to its end, also when the limit is reached: a second letter of a message that was replayed
	// may come late in it, and must not stay.
	for p.h.rest() > 0 && !p.stopped && !p.ended {
		most := maxTake
		if p.turns != nil && p.publishing() {
			most = 1
			if err := p.turn(ctx); err != nil {
				return err
			}
			if p.stopped {
				break
			}
		}
		got, err := p.h.take(ctx, most)
		for i := range got {
			if err != nil || p.stopped || p.ended {
				break
			}
			err = p.one(ctx, p.r.letter(&got[i], p.o.Queue))
		}
		if err != nil {
			return err
		}
	}
	if !p.stopped {
		return nil
	}
	e := &StoppedError{Queue: p.o.Queue, After: time.Since(p.began).Round(time.Second), Until: p.began}
	if p.o.Limit > 0 {
		e.Limit = p.o.Limit - p.sum.Replayed
	}
	if e.Until.After(p.o.Filter.Until) && !p.o.Filter.Until.IsZero() {
		e.Until = p.o.Filter.Until
	}
	return e
}

// publishing reports whether more may be published.
func (p *replay) publishing() bool {
	return !p.stopped && (p.o.Limit == 0 || p.sum.Replayed < p.o.Limit) && !p.o.DryRun
}

// turn waits until the rate lets another letter be published. A turn that was not used, because the letter did not match,
// is kept.
func (p *replay) turn(ctx context.Context) error {
	if p.hasTurn {
		return nil
	}
	wait := ctx
	if until := p.h.until(); !until.IsZero() {
		var cancel context.CancelFunc
		wait, cancel = context.WithDeadline(ctx, until)
		defer cancel()
	}
	switch err := p.turns.Wait(wait); {
	case err == nil:
		p.hasTurn = true
	case ctx.Err() != nil:
		return ctx.Err()
	default: // its turn comes after what is held must go back
		p.stopped = true
	}
	return nil
}

// one does with a letter what is to be done, and counts its message.
func (p *replay) one(ctx context.Context, l letter) error {
	if l.ours && rabbitmq.Text(l.d.Headers, rabbitmq.HeaderReplayID) == p.id {
		p.ended = true // published by this run, and dead again; so is all behind it
		p.h.endSet()
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if p.h.expired() {
		p.stopped = true
		return nil
	}
	var id [6]byte
	if _, err := hex.Decode(id[:], []byte(l.ID)); err != nil {
		return fmt.Errorf("the id %q of a letter: %w", l.ID, err)
	}
	before := p.fates[id]
	if before == nil {
		before = &fate{}
		p.fates[id] = before
		p.sum.Skipped++
	}
	if before.outcome == replayed {
		return p.ack(l.d.DeliveryTag)
	}
	before.tags = append(before.tags, l.d.DeliveryTag)
	if before.outcome != skipped || !p.o.Filter.matches(l.Letter) {
		return nil
	}
	p.sum.Skipped--
	if p.o.Limit > 0 && p.sum.Replayed >= p.o.Limit {
		before.outcome = left
		return nil
	}
	stays, err := p.move(ctx, l)
	switch {
	case err != nil:
		return err
	case stays != nil:
		before.outcome = failed
		p.sum.Failed++
	default:
		before.outcome = replayed
		p.sum.Replayed++
	}
	if p.o.Progress != nil {
		p.o.Progress(Step{ID: l.ID, Err: stays, Summary: p.sum, Set: p.h.set})
	}
	if before.outcome != replayed {
		return nil
	}
	for _, tag := range before.tags {
		if err := p.ack(tag); err != nil {
			return err
		}
	}
	before.tags = nil
	return nil
}

func (p *replay) ack(tag uint64) error {
	if p.o.DryRun {
		return nil
	}
	return p.h.ack(tag)
}

// publish publishes a letter to its queue. stays says why it can't be, with others going on; err is of the run.
func (p *replay) publish(ctx context.Context, l letter) (stays, err error) {
	to, stays := p.target(l)
	if stays != nil {
		return stays, nil
	}
	if p.o.DryRun {
		return p.wouldStay(to)
	}
	p.hasTurn = false
	// An interrupt lets the publish that is under way end, so that it is known what became of it.
	publishing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(publishGrace, cancel) })
	defer stop()
	err = p.publisher.Publish(publishing, "", to, rabbitmq.Again(l.d, p.headers(l), p.publisher.FrameSize()))
	if errors.Is(err, rabbitmq.ErrReturned) || errors.Is(err, rabbitmq.ErrRefused) {
		return err, nil
	}
	return nil, err
}

// wouldStay says for a dry run why a letter to that queue would stay.
func (p *replay) wouldStay(to string) (stays, err error) {
	ok, known := p.exists[to]
	if !known {
		if _, ok, err = rabbitmq.Depth(p.h.conn, to); err != nil {
			return nil, err
		}
		p.exists[to] = ok
	}
	if !ok {
		return fmt.Errorf("the queue %s does not exist", to), nil
	}
	return nil, nil
}

const publishGrace = 5 * time.Second

// target is the queue that a letter goes back to, or why it stays.
func (p *replay) target(l letter) (string, error) {
	switch {
	case p.o.To != "":
		return p.o.To, nil
	case l.Queue == "":
		return "", errors.New("it does not tell where it was consumed: it has neither x-mageline-queue nor an x-death of a queue; say --to QUEUE")
	case !strings.HasPrefix(l.Queue, p.r.o.Prefix+"."):
		return "", fmt.Errorf("it was consumed from %s, which is not one of %s.*; say --to QUEUE", l.Queue, p.r.o.Prefix)
	case l.Queue == p.o.Queue:
		return "", fmt.Errorf("it says that it was consumed from %s itself; say --to QUEUE", l.Queue)
	}
	return l.Queue, nil
}

// ofFailure are the headers that tell of the failure; a replay begins without. When it failed first stays.
var ofFailure = []string{
	rabbitmq.HeaderQueue, rabbitmq.HeaderKey, rabbitmq.HeaderReason, rabbitmq.HeaderErrorClass, rabbitmq.HeaderError,
	rabbitmq.HeaderAttempts, rabbitmq.HeaderFailedAt, rabbitmq.HeaderUnauthorizedAt, rabbitmq.HeaderHost, rabbitmq.HeaderVersion,
}

// headers are what a replay sets, and with nil takes away.
func (p *replay) headers(l letter) amqp.Table {
	set := amqp.Table{}
	count := int64(0)
	if l.ours {
		count = rabbitmq.Int(l.d.Headers, rabbitmq.HeaderReplayCount)
		for _, name := range ofFailure {
			set[name] = nil
		}
	} else {
		for name := range l.d.Headers {
			if isOurs(name) {
				set[name] = nil
			}
		}
	}
	if l.topicOf != "" {
		set[rabbitmq.HeaderTopic] = l.topicOf
	}
	set[rabbitmq.HeaderReplayedAt] = time.Now().UTC().Format(time.RFC3339)
	set[rabbitmq.HeaderReplayCount] = max(0, min(count, math.MaxInt32)) + 1
	set[rabbitmq.HeaderReplayID] = p.id
	return set
}
