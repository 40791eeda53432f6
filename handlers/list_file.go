package handlers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/internal/inbox"
	"github.com/mageline/mageline/internal/lists"
	"github.com/mageline/mageline/internal/table"
)

// ListFile sends a list of prices or of stock that lies in an inbox, as messages, and moves it away when all are confirmed.
//
// A file is identified by its content, and each content is sent once, on whichever replica. The version of its entries is the time of
// the file: it is the same on each replica and at each attempt, so that a list that was cut off and is sent again ends the same.
type ListFile struct {
	// Consumer is price_sync or stock_sync: the ledger has the file under it.
	Consumer string
	Inbox    Inbox
	Ledger   Ledger
	// Stock says that these are lists of stock. The folder of such a file is the source of rows that name none; the folder of a price
	// list is its type.
	Stock bool
	// Publish publishes a message and waits for the confirm.
	Publish func(ctx context.Context, topic string, body []byte) error
	Meter   FileMeter
	// Outage is called with an error of a disk that is full or read-only.
	Outage func(err error)
}

// effectList is all of a list: done when all its messages are published, skipped if it is unusable.
const effectList = "list"

// unconfirmedLists is how many messages of a list are on their way at once.
const unconfirmedLists = 8

// Take sends the file, unless it was sent before. After an error it is called again.
func (h *ListFile) Take(ctx context.Context, found inbox.Found) error {
	log := zerolog.Ctx(ctx).With().Str("consumer", h.Consumer).Str("file", found.Path).Str("key", found.SHA256).Logger()
	ctx = log.WithContext(ctx)
	f, err := h.Inbox.Open(found.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // another replica has moved it
	case err != nil:
		return err
	}
	defer func() { _ = f.Close() }()
	defer h.Meter.Began()()
	err = h.take(ctx, f, found)
	if err != nil && inbox.DiskFull(err) && h.Outage != nil {
		h.Outage(err)
	}
	return err
}

func (h *ListFile) take(ctx context.Context, f inbox.File, found inbox.Found) error {
	log := zerolog.Ctx(ctx)
	s := &listSending{ListFile: h, file: f, found: found}
	result, before, err := h.Ledger.Do(ctx, idempotency.Effect{Key: idempotency.Key{Consumer: h.Consumer, Key: found.SHA256, Effect: effectList}},
		func(ctx context.Context, _ *idempotency.Claim) (idempotency.Result, error) { return s.send(ctx) })
	switch {
	case err != nil:
		return err
	case result.State == idempotency.Skipped:
		name, err := f.Failed(ctx, found.SHA256, result.Reason+"\n")
		if err != nil {
			return fmt.Errorf("move %s to failed: %w", found.Path, err)
		}
		h.Meter.Ended(FileFailed)
		log.Error().Str("event", "list_file_failed").Str("moved_to", name).Str("reason", result.Reason).Msg("nothing can be made of the list")
		return nil
	}
	name, err := f.Processed(ctx, found.SHA256)
	switch {
	case err != nil:
		return fmt.Errorf("move %s to processed: %w", found.Path, err)
	case before:
		h.Meter.Ended(FileDuplicate)
		log.Info().Str("event", "list_file_duplicate").Str("moved_to", name).Str("result", result.Value).
			Msg("a list with this content was sent before: nothing is sent again")
		return nil
	}
	if s.entries == 0 && s.bad > 0 {
		h.Meter.Ended(FileNoGoodRow)
		log.Error().Str("event", "list_file_rejected").Str("moved_to", name).Int("bad_rows", s.bad).Msg("no row of the list is good")
		return nil
	}
	h.Meter.Ended(FileDone)
	log.Info().Str("event", "list_file_done").Str("moved_to", name).Time("as_of", s.asOf).Int("rows", s.entries).Int("messages", s.messages).
		Int("bad_rows", s.bad).Msg("the list is sent")
	return nil
}

// listSending is one attempt at a list.
type listSending struct {
	*ListFile
	file  inbox.File
	found inbox.Found
	asOf  time.Time

	rejected *table.Rejected
	rejects  io.WriteCloser
	bad      int

	mu                sync.Mutex
	entries, messages int
}

// send is the effect: it returns when all messages are confirmed and all bad rows are on the disk.
func (s *listSending) send(ctx context.Context) (idempotency.Result, error) {
	err := s.all(ctx)
	var unusable *table.UnusableError
	switch {
	case errors.As(err, &unusable):
		reason := unusable.Reason
		if len(unusable.Header) > 0 {
			reason += fmt.Sprintf("; the first row: %.1000q", unusable.Header)
		}
		return idempotency.Result{State: idempotency.Skipped, Reason: reason}, nil
	case err != nil:
		return idempotency.Result{}, err
	}
	return idempotency.Result{Value: fmt.Sprintf("%d entries in %d messages, %d bad rows", s.entries, s.messages, s.bad)}, nil
}

// format returns how the file is to be read.
func (s *listSending) format() (lists.Format, error) {
	format := lists.Format{Stock: s.Stock, AsOf: time.Now()}
	if file, ok := s.file.(interface{ Stat() (fs.FileInfo, error) }); ok {
		info, err := file.Stat()
		if err != nil {
			return format, err
		}
		if info.ModTime().Before(format.AsOf) { // else another machine's clock is wrong
			format.AsOf = info.ModTime()
		}
	}
	format.AsOf = format.AsOf.UTC().Truncate(time.Microsecond)
	switch folder := path.Dir(s.found.Path); {
	case folder == ".":
	case s.Stock:
		format.Source = folder
	default:
		format.Type = event.PriceType(folder)
		if t := format.Type; t != event.BasePrices && t != event.SpecialPrices && t != event.TierPrices {
			return format, &table.UnusableError{Reason: fmt.Sprintf("it lies in a folder %q: those of price lists are base, special and tier", folder)}
		}
	}
	s.asOf = format.AsOf
	return format, nil
}

func (s *listSending) all(ctx context.Context) (err error) {
	format, err := s.format()
	if err != nil {
		return err
	}
	list, err := lists.Open(stepwise(ctx, s.file), format)
	if err != nil {
		return err
	}
	if list.About.SHA256 != s.found.SHA256 {
		return fmt.Errorf("the list was written to while it was read: it is looked at again")
	}
	defer func() {
		if s.rejects != nil {
			err = errors.Join(err, s.rejects.Close())
		}
	}()
	sending, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var out sync.WaitGroup
	defer out.Wait()
	slots := make(chan struct{}, unconfirmedLists)
	err = list.Each(func(m lists.Message) error {
		select {
		case slots <- struct{}{}:
		case <-sending.Done():
			return context.Cause(sending)
		}
		out.Go(func() {
			defer func() { <-slots }()
			if err := s.publish(sending, m); err != nil {
				cancel(err)
			}
		})
		return nil
	}, func(bad *table.BadRow) error { return s.reject(list, bad) })
	out.Wait()
	if cause := context.Cause(sending); cause != nil {
		return cause
	}
	if err == nil {
		s.Meter.Rejected(s.bad)
	}
	return err
}

func (s *listSending) publish(ctx context.Context, m lists.Message) error {
	if err := s.Publish(ctx, m.Topic, m.Body); err != nil {
		return err
	}
	s.Meter.Sent(m.Entries)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries += m.Entries
	s.messages++
	return event.Progress(ctx)
}

func (s *listSending) reject(list *lists.List, bad *table.BadRow) (err error) {
	s.bad++
	if s.rejected == nil {
		if s.rejects, err = s.file.Rejected(s.found.SHA256); err == nil {
			s.rejected, err = list.NewRejected(s.rejects)
		}
	}
	if err == nil {
		err = s.rejected.Write(bad)
	}
	return err
}
