package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/internal/inbox"
	"github.com/mageline/mageline/internal/table"
	"github.com/mageline/mageline/internal/tracking"
)

// Bounds of a block of parcels, which are recorded together.
const (
	blockParcels = 500
	blockBytes   = 1 << 20
	// publishers is how many parcels of a block are in flight at once.
	publishers = 32
	// stepBytes is after how many bytes of a file reading counts as progress.
	stepBytes = 16 << 20
	// reportEvery is how often the log has a line about a file that takes long.
	reportEvery = 10 * time.Second
)

// stepwise returns a reader of r that ends with ctx and reports progress.
func stepwise(ctx context.Context, r io.ReadSeeker) io.ReadSeeker { return &steps{ctx: ctx, r: r} }

type steps struct {
	ctx  context.Context
	r    io.ReadSeeker
	read int
}

func (s *steps) Seek(offset int64, whence int) (int64, error) { return s.r.Seek(offset, whence) }

func (s *steps) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := s.r.Read(p)
	if s.read += n; s.read >= stepBytes {
		s.read = 0
		if err := event.Progress(s.ctx); err != nil {
			return n, err
		}
	}
	return n, err
}

// sending is one handling of a file.
type sending struct {
	*TrackingFile
	file     inbox.File
	in       io.ReadSeeker // as much of file as about is about
	about    table.About
	profile  *tracking.Profile
	settings string
	repeat   bool
	log      zerolog.Logger
	unusable *table.UnusableError

	rejected           *table.Rejected
	rejects            io.WriteCloser
	bad, sent, parcels int
	skipped            int
	block              [][]byte
	blockSize          int
	blockRows          int
	blockFrom, blockTo int // lines
	reported           time.Time
}

// send is the effect: it returns when all parcels are published and all bad rows are on the disk.
func (s *sending) send(ctx context.Context) (idempotency.Result, error) {
	if s.unusable != nil {
		return idempotency.Result{State: idempotency.Skipped, Reason: s.unusable.Reason}, nil
	}
	s.in = stepwise(ctx, s.in) // with the clock of the effect
	err := s.profile.Check(s.in, s.about)
	if err == nil {
		err = s.rows(ctx)
	}
	switch {
	case errors.As(err, &s.unusable):
		return idempotency.Result{State: idempotency.Skipped, Reason: s.unusable.Reason}, nil
	case err != nil:
		return idempotency.Result{}, reading(ctx, err)
	}
	value := fmt.Sprintf("%d rows, %d parcels, %d bad rows", s.sent+s.bad+s.skipped, s.parcels, s.bad)
	if s.skipped > 0 {
		value += fmt.Sprintf(", %d skipped by the profile", s.skipped)
	}
	return idempotency.Result{Value: value}, nil
}

func (s *sending) rows(ctx context.Context) (err error) {
	defer func() {
		if s.rejects != nil {
			err = errors.Join(err, s.rejects.Close())
		}
	}()
	r, err := s.profile.Open(s.in, s.about)
	if err != nil {
		return err
	}
	s.reported = time.Now()
	for {
		p, bad, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			sum, err := table.Sum(s.in)
			if err != nil {
				return err
			}
			if sum != s.about.SHA256 {
				return &event.Deferral{Reason: "the tracking file was written to while it was read: it is read again"}
			}
			if err := s.flush(ctx); err != nil {
				return err
			}
			s.Meter.Rejected(s.bad)
			s.skipped = r.SkippedRows()
			return nil
		case err != nil:
			return err
		case bad != nil:
			err = s.reject(r, bad)
		default:
			err = s.add(ctx, &p)
		}
		if err != nil {
			return err
		}
	}
}

func (s *sending) reject(r *tracking.Reader, bad *table.BadRow) (err error) {
	s.bad++
	if s.rejected == nil {
		if s.rejects, err = s.file.Rejected(s.about.SHA256); err == nil {
			s.rejected, err = r.NewRejected(s.rejects)
		}
	}
	if err == nil {
		err = s.rejected.Write(bad)
	}
	return err
}

// add adds a parcel to the block, and sends the block when it is full.
func (s *sending) add(ctx context.Context, p *tracking.Parcel) error {
	body, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("write an event: %w", err)
	}
	if len(s.block) == 0 {
		s.blockFrom = p.Line
	}
	s.block, s.blockTo = append(s.block, body), p.LastLine
	s.blockSize += len(body)
	s.blockRows += p.Rows
	if len(s.block) < blockParcels && s.blockSize < blockBytes {
		return nil
	}
	return s.flush(ctx)
}

// flush sends a block, unless an earlier handling did, and records it.
func (s *sending) flush(ctx context.Context) error {
	if len(s.block) == 0 {
		return nil
	}
	block := fileKey(s.about.SHA256, fmt.Sprintf("lines %d to %d, %s", s.blockFrom, s.blockTo, s.settings))
	_, before, err := s.Ledger.Do(ctx, idempotency.Effect{Key: block, Repeat: s.repeat}, func(ctx context.Context, _ *idempotency.Claim) (idempotency.Result, error) {
		return idempotency.Result{}, s.publish(ctx)
	})
	if err != nil {
		return err
	}
	if !before {
		s.Meter.Sent(s.blockRows)
	}
	s.sent += s.blockRows
	s.parcels += len(s.block)
	s.block, s.blockSize, s.blockRows = s.block[:0], 0, 0
	if time.Since(s.reported) > reportEvery {
		s.reported = time.Now()
		s.log.Info().Str("event", "tracking_file_progress").Int("line", s.blockTo).Int("rows", s.sent).Int("bad_rows", s.bad).
			Msg("the tracking file goes on")
	}
	return event.Progress(ctx)
}

// publish publishes the block, several parcels at once, and returns when each is confirmed. An earlier handling may have published
// some: whoever receives a parcel twice finds a duplicate.
func (s *sending) publish(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var (
		next  atomic.Int64
		group sync.WaitGroup
	)
	for range min(publishers, len(s.block)) {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(s.block)) && ctx.Err() == nil; i = next.Add(1) - 1 {
				if err := s.Publish(ctx, topicTracking, s.block[i]); err != nil {
					stop(fmt.Errorf("publish a parcel: %w", err))
				}
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

// explanation returns the text that is put beside an unusable file.
func (s *sending) explanation() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Nothing was sent of this file: %s.\n\nSHA-256 %s, %d bytes, %s\n", s.unusable.Reason, s.about.SHA256, s.about.Size, s.about.Encoding)
	for i, name := range s.unusable.Header {
		if i == 50 {
			b.WriteString("…\n")
			break
		}
		fmt.Fprintf(&b, "Column %d: %.100q\n", i+1, name)
	}
	b.WriteString("\n`mageline tracking check FILE` shows what would become of a corrected one. Move it into the inbox again.\n")
	return b.String()
}
