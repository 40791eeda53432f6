package deadletter

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/mageline/mageline/rabbitmq"
)

// maxLine bounds a line, in bytes: RabbitMQ takes messages of 128 MiB at most, and base64 adds a third.
const maxLine = 256 << 20

// RestoreOptions say how letters that a discard has written are published.
type RestoreOptions struct {
	// To is the queue that every letter is published to. Without it each goes to the queue that it was consumed from, and
	// fails where that is outside of the prefix.
	To string
	// Failed, if not nil, is called with each line that could not be published, counted from 1, and why.
	Failed func(line int, err error)
}

// RestoreSummary counts the lines of a file.
type RestoreSummary struct {
	Published int `json:"published"`
	Skipped   int `json:"skipped"` // an earlier line has the same message for the same queue
	Failed    int `json:"failed"`  // Failed has the reason
}

// Restore publishes letters that Discard has written to the queues that they were consumed from, as a replay does. It goes on
// after a line that can't be published. It fails when RabbitMQ goes away or the lines can't be read. The summary counts what was
// done in each case.
//
// A discard that was killed and repeated may have written a letter twice: of lines with one id and queue, one is published.
func (r *Reader) Restore(ctx context.Context, lines io.Reader, o RestoreOptions) (sum RestoreSummary, err error) {
	run := &run{r: r, o: ReplayOptions{To: o.To}, id: newReplayID()}
	if run.publisher, err = r.publisher(ctx); err != nil {
		return sum, err
	}
	defer run.publisher.Close()
	p := restoring{run: run, o: o, sent: map[string]bool{}}
	scanner := bufio.NewScanner(lines)
	scanner.Buffer(nil, maxLine)
	n := 1
	for ; err == nil && scanner.Scan(); n++ {
		if text := bytes.TrimSpace(scanner.Bytes()); len(text) > 0 {
			err = p.line(ctx, n, text)
		}
	}
	err = errors.Join(err, p.settle(0))
	if scanErr := scanner.Err(); err == nil && scanErr != nil {
		if errors.Is(scanErr, bufio.ErrTooLong) {
			scanErr = fmt.Errorf("it has more than %d bytes", maxLine)
		}
		err = fmt.Errorf("line %d: %w", n, scanErr)
	}
	return p.sum, err
}

// restoring is one run of Restore.
type restoring struct {
	*run
	o    RestoreOptions
	sum  RestoreSummary
	sent map[string]bool // by id and queue: true when it is confirmed, false while it is in flight
	// underWay are lines that are published and not confirmed. bytes is the size of their bodies.
	underWay []sentLine
	bytes    int
}

type sentLine struct {
	n, size int
	name    string
	wait    pending
}

func (p *restoring) line(ctx context.Context, n int, text []byte) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("stopped before line %d: %w", n, err)
	}
	l, stays := decode(text)
	if stays != nil {
		p.stays(n, stays)
		return nil
	}
	l.ID = rabbitmq.ID(l.Topic, l.d.MessageId, l.d.Body)
	name := l.ID + l.Queue
	if _, known := p.sent[name]; known { // if that one fails, this one is published instead
		if err := p.settle(0); err != nil {
			return err
		}
	}
	if p.sent[name] {
		p.sum.Skipped++
		return nil
	}
	most := window - 1
	if p.bytes+len(l.d.Body) > takeBytes {
		most = 0
	}
	if err := p.settle(most); err != nil {
		return err
	}
	wait, stays, err := p.publish(ctx, l)
	switch {
	case err != nil:
		return fmt.Errorf("line %d: %w", n, err)
	case stays != nil:
		p.stays(n, stays)
		return nil
	}
	p.sent[name] = false
	p.underWay = append(p.underWay, sentLine{n, len(l.d.Body), name, wait})
	p.bytes += len(l.d.Body)
	return nil
}

func (p *restoring) stays(n int, why error) {
	p.sum.Failed++
	if p.o.Failed != nil {
		p.o.Failed(n, why)
	}
}

// settle waits until at most so many lines are in flight.
func (p *restoring) settle(most int) (err error) {
	for len(p.underWay) > most {
		u := p.underWay[0]
		p.underWay = p.underWay[1:]
		p.bytes -= u.size
		stays, one := u.wait()
		switch {
		case one != nil:
			if err == nil { // nothing more is published: the outcome of all in flight must be known
				err, most = fmt.Errorf("line %d: %w", u.n, one), 0
			}
		case stays != nil:
			delete(p.sent, u.name)
			p.stays(u.n, stays)
		default:
			p.sent[u.name] = true
			p.sum.Published++
		}
	}
	return err
}
