package handlers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/internal/inbox"
	"github.com/mageline/mageline/internal/table"
	"github.com/mageline/mageline/internal/tracking"
)

// FileReady is the body of shipping.tracking_file.ready: a file of the inbox that is complete.
type FileReady struct {
	Path   string `json:"path"` // relative to the inbox
	SHA256 string `json:"sha256,omitempty"`
	Size   int64  `json:"size,omitempty"`
	// Profile names the profile to read it by, whatever it looks like; "" if none does.
	Profile string `json:"profile,omitempty"`
	// Again names a wish to have the file sent again though it was done; "" for none.
	Again string `json:"again,omitempty"`
}

// What becomes of a file: see FileMeter.
const (
	FileDone      = "done"
	FileDuplicate = "duplicate"
	FileFailed    = "failed"
	FileNoGoodRow = "no_good_row"
)

// TopicFileReady is the topic of FileReady, topicTracking that of a parcel.
const (
	TopicFileReady = "shipping.tracking_file.ready"
	topicTracking  = "shipping.tracking.received"
)

// Inbox is the directory of tracking files. *inbox.Dir implements it.
type Inbox interface {
	// Open opens a file. It fails with fs.ErrNotExist if there is none, and with inbox.ErrRefused for one that must not be
	// read. After any other error it may be there.
	Open(path string) (inbox.File, error)
	// Took reports whether the file that was taken from the path begins with size bytes of that hash.
	Took(ctx context.Context, path, sum string, size int64) (bool, error)
}

// FileMeter counts files and rows.
type FileMeter interface {
	// Began is called when the reading of a file begins, and end when it ends.
	Began() (end func())
	// Sent counts rows whose parcels are published, Rejected bad rows.
	Sent(rows int)
	Rejected(rows int)
	// Ended counts a file that was moved away: FileDone, FileDuplicate, FileFailed or FileNoGoodRow.
	Ended(outcome string)
}

// TrackingFile handles tracking_file_ready: it reads the file, publishes an event for each parcel, and moves the file when all are
// confirmed.
//
// A file is identified by its content, and by the settings that it is read with: with other settings it is read again. Each block of
// parcels is an effect of its own in the ledger, so that a handling that was cut
// continues after the last complete block. A block that was in flight is published again, and its parcels are duplicates for whoever
// receives them.
type TrackingFile struct {
	Inbox    Inbox
	Ledger   Ledger
	Profiles *tracking.Profiles
	// ProfileOf returns the name of the profile that a file is read by because of where it comes from, "" for none. Nil: of no file.
	ProfileOf func(path string) string
	// Publish publishes an event and waits for the confirm.
	Publish func(ctx context.Context, topic string, body []byte) error
	Meter   FileMeter
	// Outage is called when the disk of the inbox is full or read-only, which is no fault of a file.
	Outage func(err error)
}

// Handle publishes the parcels of the file once, however often an event for it comes.
func (h *TrackingFile) Handle(ctx context.Context, e event.Event) (event.Outcome, error) {
	ready, err := parseFileReady(e.Body)
	if err != nil {
		return "", err
	}
	outcome, err := h.file(ctx, e, &ready)
	if err != nil {
		if inbox.DiskFull(err) {
			h.Outage(err)
			err = &event.Deferral{Reason: "the disk of the inbox is full or read-only", Downstream: downstreamInbox, Err: err}
		}
		err = fmt.Errorf("file %q: %w", ready.Path, err) // a hash says nothing to a person
	}
	return outcome, event.WithKey(err, ready.SHA256)
}

// downstreamInbox is what a file waits for whose disk is full.
const downstreamInbox = "inbox"

func parseFileReady(body json.RawMessage) (FileReady, error) {
	var ready struct {
		Path    string          `json:"path"`
		SHA256  string          `json:"sha256"`
		Size    json.RawMessage `json:"size"` // the hash says more: one that can't be read is none
		Profile string          `json:"profile"`
		Again   string          `json:"again"`
	}
	if err := json.Unmarshal(body, &ready); err != nil {
		return FileReady{}, event.Errorf(event.Invalid, "the event can't be read as one about a tracking file: %w", err)
	}
	if ready.Path == "" {
		return FileReady{}, event.Errorf(event.Invalid, "the event names no file: it has no path; its members are %s", event.MemberNames(body))
	}
	sum := strings.ToLower(ready.SHA256)
	if b, err := hex.DecodeString(sum); err != nil || sum != "" && len(b) != sha256.Size {
		return FileReady{}, event.Errorf(event.Invalid, "sha256 must be the 64 hex digits of the file's hash, or nothing")
	}
	if len(ready.Again) > maxAgain {
		return FileReady{}, event.Errorf(event.Invalid, "again has more than %d bytes", maxAgain)
	}
	size, _ := strconv.ParseInt(strings.Trim(string(ready.Size), `"`), 10, 64)
	return FileReady{Path: ready.Path, SHA256: sum, Size: size, Profile: ready.Profile, Again: ready.Again}, nil
}

// maxAgain bounds FileReady.Again, which is a part of the names of effects.
const maxAgain = 64

func fileKey(sum, effect string) idempotency.Key {
	return idempotency.Key{Consumer: TrackingFileReady, Key: sum, Effect: effect}
}

// effectFile begins the name of the effect that is all of a file, with the hash of the settings: done when all its parcels are
// published, skipped if it is unusable.
const effectFile = "file "

// file handles the file, and sets its hash in ready when it is known.
func (h *TrackingFile) file(ctx context.Context, e event.Event, ready *FileReady) (event.Outcome, error) {
	log := zerolog.Ctx(ctx).With().Str("file", ready.Path).Logger()
	ctx = log.WithContext(ctx)
	if _, err := h.done(ctx, ready.SHA256); err != nil {
		return "", err
	}
	f, err := h.Inbox.Open(ready.Path)
	switch {
	case errors.Is(err, inbox.ErrRefused):
		return "", event.Errorf(event.Invalid, "%w", err)
	case errors.Is(err, fs.ErrNotExist):
		return h.gone(ctx, ready)
	case err != nil: // the inbox may be a share that is away: no fault of the file
		return "", &event.Deferral{Reason: "the tracking file can't be opened", Err: err}
	}
	defer func() { _ = f.Close() }()
	defer h.Meter.Began()()
	about, err := table.Look(stepwise(ctx, f))
	if err != nil {
		return "", reading(ctx, err)
	}
	switch wait, err := f.Unfinished(about.Size); {
	case err != nil:
		return "", reading(ctx, err)
	case wait > 0:
		return "", &event.Deferral{Reason: "the last row of the tracking file has no line break: it may still be written", Wait: wait, Pick: event.Nearest}
	}
	if ready.SHA256 != "" && ready.SHA256 != about.SHA256 {
		log.Warn().Str("event", "tracking_file_changed").Str("key", ready.SHA256).Str("sha256", about.SHA256).
			Msg("the file has other content by now, of which there is another event: nothing is done for this one")
		return event.Skipped, nil
	}
	ready.SHA256 = about.SHA256

	s := &sending{
		TrackingFile: h, file: f, about: about, repeat: e.Repeat, log: log.With().Str("key", about.SHA256).Logger(),
		in: io.NewSectionReader(f, 0, about.Size), // what is written to the file from now is none of this handling's
	}
	source := tracking.Source{Path: inbox.Origin(ready.Path), Profile: ready.Profile}
	if source.Profile == "" && h.ProfileOf != nil {
		source.Profile = h.ProfileOf(source.Path)
	}
	switch s.profile, err = h.Profiles.Choose(stepwise(ctx, s.in), about, source); {
	case err == nil:
		s.settings = s.profile.Hash()
	case errors.As(err, &s.unusable): // two profiles fit equally
		s.settings = "none"
	default:
		return "", reading(ctx, err)
	}
	if ready.Again != "" {
		s.settings += " again " + ready.Again
	}
	result, before, err := h.Ledger.Do(ctx, idempotency.Effect{Key: fileKey(about.SHA256, effectFile+s.settings), Repeat: e.Repeat},
		func(ctx context.Context, _ *idempotency.Claim) (idempotency.Result, error) { return s.send(ctx) })
	if err != nil {
		return "", err
	}
	if result.State == idempotency.Skipped {
		name, err := f.Failed(ctx, about.SHA256, s.explanation())
		if err != nil {
			return "", moving(err)
		}
		h.Meter.Ended(FileFailed)
		s.log.Error().Str("event", "tracking_file_failed").Str("moved_to", name).Str("reason", result.Reason).
			Msg("nothing can be made of the tracking file")
		return event.Skipped, nil
	}
	name, err := f.Processed(ctx, about.SHA256)
	if err != nil {
		return "", moving(err)
	}
	switch {
	case before:
		h.Meter.Ended(FileDuplicate)
		s.log.Info().Str("event", "tracking_file_duplicate").Str("moved_to", name).Str("result", result.Value).
			Msg("a file with this content was done before: nothing is sent again")
	case s.bad > 0 && s.parcels == 0:
		h.Meter.Ended(FileNoGoodRow)
		s.log.Error().Str("event", "tracking_file_no_good_row").Str("moved_to", name).Str("result", result.Value).
			Msg("no row of the tracking file is good: is it read with the right settings? The rows and what is wrong with each are in failed/")
	default:
		h.Meter.Ended(FileDone)
		s.log.Info().Str("event", "tracking_file_done").Str("moved_to", name).Str("result", result.Value).Msg("the tracking file is done")
	}
	return doneOrDuplicate(before), nil
}

// gone handles the event of a file that is not there: another handling has moved it away, or it was never there.
func (h *TrackingFile) gone(ctx context.Context, ready *FileReady) (event.Outcome, error) {
	done, err := h.done(ctx, ready.SHA256)
	switch {
	case err != nil:
		return "", err
	case done:
		return event.Duplicate, nil
	}
	// The watcher of one replica may have seen the file before its writer went on, and that of another the whole file.
	switch took, err := h.Inbox.Took(ctx, ready.Path, ready.SHA256, ready.Size); {
	case err != nil:
		return "", &event.Deferral{Reason: "what was taken from the inbox can't be looked at", Err: err}
	case took:
		zerolog.Ctx(ctx).Info().Str("event", "tracking_file_duplicate").Str("key", ready.SHA256).
			Msg("a longer file that begins with this content was taken: nothing is left to send")
		return event.Duplicate, nil
	}
	return "", event.Errorf(event.NotFound, "there is no file %q in the inbox, and none with its content was done", ready.Path)
}

// done reports whether a file with that hash is done, with whatever settings, and only must be moved. It defers one that another
// handling has before the file is opened: reading it may take long.
func (h *TrackingFile) done(ctx context.Context, sum string) (bool, error) {
	if sum == "" {
		return false, nil
	}
	rows, err := h.Ledger.Rows(ctx, TrackingFileReady, sum)
	if err != nil {
		return false, err
	}
	done := false
	for _, row := range rows {
		if !strings.HasPrefix(row.Key.Effect+" ", effectFile) { // an earlier version has no settings in it
			continue
		}
		if row.State == idempotency.InProgress && !row.Expired {
			return false, &event.Deferral{Reason: "the tracking file is in work at " + row.Owner, Busy: true}
		}
		done = done || row.State == idempotency.Done || row.State == idempotency.Skipped
	}
	return done, nil
}

// reading returns an error with its class: one without is of the file system.
func reading(ctx context.Context, err error) error {
	var (
		classed  *event.Error
		deferral *event.Deferral
	)
	if ctx.Err() != nil || inbox.DiskFull(err) || errors.As(err, &classed) || errors.As(err, &deferral) {
		return err
	}
	return event.Errorf(event.Unavailable, "read the tracking file: %w", err)
}

func moving(err error) error {
	return event.Errorf(event.Unavailable, "the tracking file is done, and can't be moved: %w", err)
}
