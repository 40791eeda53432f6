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

// RestoreOptions say how letters that a discard has written go back.
type RestoreOptions struct {
	// To is the queue that letters go to, whatever they say themselves. Without it, one whose queue is outside of the
	// prefix is not sent.
	To string
	// Failed, which may be nil, is told of each line that could not be sent, counted from 1, and why.
	Failed func(line int, err error)
}

// RestoreSummary counts the lines of a file.
type RestoreSummary struct {
	Published int `json:"published"`
	Skipped   int `json:"skipped"` // the same message for the same queue was sent from a line before
	Failed    int `json:"failed"`  // Failed was told why
}

// Restore publishes the letters that Discard wrote back to the queues they were consumed from, as a replay does. A line
// that can't be sent does not keep others from it. It fails when RabbitMQ goes away or the lines can't be read; the
// summary counts what was done also then.
//
// A discard that was killed and repeated may have written a letter twice: of lines with one id and queue, one is sent.
func (r *Reader) Restore(ctx context.Context, lines io.Reader, o RestoreOptions) (sum RestoreSummary, err error) {
	p := &replay{r: r, o: ReplayOptions{To: o.To}, id: newReplayID()}
	if p.publisher, err = r.publisher(ctx); err != nil {
		return sum, err
	}
	defer p.publisher.Close()
	sent := map[string]bool{}
	scanner := bufio.NewScanner(lines)
	scanner.Buffer(nil, maxLine)
	n := 1
	for ; scanner.Scan(); n++ {
		text := bytes.TrimSpace(scanner.Bytes())
		if len(text) == 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return sum, fmt.Errorf("stopped before line %d: %w", n, err)
		}
		l, stays := decode(text)
		if stays == nil {
			l.ID = rabbitmq.ID(l.Topic, l.d.MessageId, l.d.Body)
			if sent[l.ID+l.Queue] {
				sum.Skipped++
				continue
			}
			if stays, err = p.publish(ctx, l); err != nil {
				return sum, fmt.Errorf("line %d: %w", n, err)
			}
		}
		if stays != nil {
			sum.Failed++
			if o.Failed != nil {
				o.Failed(n, stays)
			}
			continue
		}
		sent[l.ID+l.Queue] = true
		sum.Published++
	}
	if err := scanner.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("it has more than %d bytes", maxLine)
		}
		return sum, fmt.Errorf("line %d: %w", n, err)
	}
	return sum, nil
}
