package handlers_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/internal/inbox"
	takenfile "github.com/mageline/mageline/internal/taken"
	files "github.com/mageline/mageline/internal/tracking"
	"github.com/mageline/mageline/rabbitmq"
	"github.com/mageline/mageline/test/kit"
)

// fileRig is an inbox, a ledger, and what has been published.
type fileRig struct {
	t    *testing.T
	dir  string
	pool *pgxpool.Pool
	log  *kit.Log

	mu        sync.Mutex
	published map[string]int // by tracking number
	publish   func(ctx context.Context, number string) error
	rows      int // that the meter was told of
	rejected  int
	ended     []string
}

func newFileRig(t *testing.T) *fileRig {
	t.Helper()
	r := &fileRig{t: t, dir: t.TempDir(), log: &kit.Log{}, published: map[string]int{}}
	var err error
	if r.pool, err = pgxpool.New(t.Context(), databases.Take(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.pool.Close)
	return r
}

func (r *fileRig) ledger(name string, lease time.Duration) *idempotency.Ledger {
	l := idempotency.Open(r.t.Context(), idempotency.Options{Pool: r.pool, Process: name, Lease: lease, Log: zerolog.New(r.log)})
	r.t.Cleanup(l.Close)
	return l
}

// inbox is the directory, for tests that have less time than a warehouse.
func (r *fileRig) inbox() *inbox.Dir {
	return &inbox.Dir{Path: r.dir, Unfinished: time.Millisecond, Notes: takenfile.Store{DB: r.pool, Inbox: "test"}}
}

func (r *fileRig) handler(l handlers.Ledger) *handlers.TrackingFile {
	return &handlers.TrackingFile{
		Inbox: r.inbox(), Ledger: l, Meter: r, Outage: func(error) {},
		Publish: func(ctx context.Context, topic string, body []byte) error {
			var p struct {
				TrackingNumber string `json:"tracking_number"`
			}
			if err := json.Unmarshal(body, &p); err != nil || topic != "shipping.tracking.received" {
				return fmt.Errorf("published %s to %s: %w", body, topic, err)
			}
			if r.publish != nil {
				if err := r.publish(ctx, p.TrackingNumber); err != nil {
					return err
				}
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			r.published[p.TrackingNumber]++
			return nil
		},
	}
}

func (r *fileRig) Began() func() { return func() {} }
func (r *fileRig) Sent(n int)    { r.mu.Lock(); r.rows += n; r.mu.Unlock() }
func (r *fileRig) Rejected(n int) {
	r.mu.Lock()
	r.rejected += n
	r.mu.Unlock()
}

func (r *fileRig) Ended(outcome string) {
	r.mu.Lock()
	r.ended = append(r.ended, outcome)
	r.mu.Unlock()
}

func (r *fileRig) put(name, content string) (sum string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(content), 0o600); err != nil {
		r.t.Fatal(err)
	}
	h := sha256.Sum256([]byte(content))
	return hex.EncodeToString(h[:])
}

func (r *fileRig) handle(h *handlers.TrackingFile, name, sum string) (event.Outcome, error) {
	r.t.Helper()
	body, err := json.Marshal(handlers.FileReady{Path: name, SHA256: sum})
	if err != nil {
		r.t.Fatal(err)
	}
	return h.Handle(zerolog.New(r.log).WithContext(r.t.Context()), event.Event{Topic: "shipping.tracking_file.ready", Body: body, Attempt: 1})
}

// lies gives the files beneath the inbox, sorted.
func (r *fileRig) lies() []string {
	r.t.Helper()
	files := []string{}
	err := filepath.WalkDir(r.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(r.dir, path)
		files = append(files, name)
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return files
}

func (r *fileRig) isLying(want ...string) {
	r.t.Helper()
	slices.Sort(want)
	if got := r.lies(); !slices.Equal(got, want) {
		r.t.Errorf("the inbox has %q, want %q", got, want)
	}
}

// isPublished checks that rows 1 to n were published, none more often than most.
func (r *fileRig) isPublished(n, most int) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.published) != n {
		r.t.Errorf("%d parcels were published, want %d", len(r.published), n)
	}
	for number, times := range r.published {
		if times > most {
			r.t.Errorf("parcel %s was published %d times", number, times)
		}
	}
}

// csv is a file of n parcels.
func csv(n int) string {
	var b strings.Builder
	b.WriteString("order_number,tracking_number\n")
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, "%09d,T%d\n", i, i)
	}
	return b.String()
}

func TestTrackingFile_File(t *testing.T) {
	t.Parallel()
	r := newFileRig(t)
	h := r.handler(r.ledger("first", 0))

	sum := r.put("clean.csv", csv(1200))
	outcome, err := r.handle(h, "clean.csv", sum)
	isOutcome(t, outcome, err, event.Done)
	r.isPublished(1200, 1)
	r.isLying("processed/clean.csv")
	if r.rows != 1200 || r.rejected != 0 {
		t.Errorf("the meter has %d rows and %d bad ones", r.rows, r.rejected)
	}
	// The event of another replica comes late.
	outcome, err = r.handle(h, "clean.csv", strings.ToUpper(sum))
	isOutcome(t, outcome, err, event.Duplicate)
	// The same content again, under another name, and an event without a hash.
	r.put("again.csv", csv(1200))
	outcome, err = r.handle(h, "again.csv", "")
	isOutcome(t, outcome, err, event.Duplicate)
	r.isPublished(1200, 1)
	r.isLying("processed/again.csv", "processed/clean.csv")
	// The same name with other content is a new file.
	r.put("clean.csv", csv(1201))
	outcome, err = r.handle(h, "clean.csv", "")
	isOutcome(t, outcome, err, event.Done)
	if files := r.lies(); len(files) != 3 || r.published["T1201"] != 1 {
		t.Errorf("%q, %d", files, r.published["T1201"])
	}
	if want := []string{"done", "duplicate", "done"}; !slices.Equal(r.ended, want) {
		t.Errorf("the meter has files that ended as %v, want %v", r.ended, want)
	}
}

func TestTrackingFile_WithBadRows(t *testing.T) {
	t.Parallel()
	r := newFileRig(t)
	h := r.handler(r.ledger("first", 0))
	r.put("some bad.csv", "order_number;tracking_number\n1;T1\n;T9\n2;T2\n3,4E+11;T8\n")
	outcome, err := r.handle(h, "some bad.csv", "")
	isOutcome(t, outcome, err, event.Done)
	r.isPublished(2, 1)
	r.isLying("failed/some bad.csv.rejected.csv", "processed/some bad.csv")
	content, err := os.ReadFile(filepath.Join(r.dir, "failed", "some bad.csv.rejected.csv"))
	if want := "order_number;tracking_number;line;reason\n;T9;3;order_number is missing\n3,4E+11;T8;5;order_number was spoilt by a spreadsheet, as 1.23E+11: format the column as text and export it again\n"; err != nil || string(content) != want {
		t.Errorf("rejected: %q, %v", content, err)
	}
	if r.rows != 2 || r.rejected != 2 {
		t.Errorf("the meter has %d rows and %d bad ones", r.rows, r.rejected)
	}
}

func TestTrackingFile_UnusableTrackingFile(t *testing.T) {
	t.Parallel()
	r := newFileRig(t)
	l := r.ledger("first", 0)
	h := r.handler(l)
	const content = "Bestellung,Paket\n1,T1\n"
	sum := r.put("odd.csv", content)
	outcome, err := r.handle(h, "odd.csv", sum)
	isOutcome(t, outcome, err, event.Skipped)
	r.isPublished(0, 0)
	r.isLying("failed/odd.csv", "failed/odd.csv.error.txt")
	if !slices.Equal(r.ended, []string{"failed"}) {
		t.Errorf("the meter has files that ended as %v", r.ended)
	}
	text, err := os.ReadFile(filepath.Join(r.dir, "failed", "odd.csv.error.txt"))
	if err != nil || !strings.Contains(string(text), "neither order_number nor tracking_number") || !strings.Contains(string(text), `"Bestellung"`) {
		t.Errorf("%q, %v", text, err)
	}
	if strings.Contains(r.log.String(), "Bestellung") {
		t.Error("what is in the file is in the log")
	}
	outcome, err = r.handle(h, "odd.csv", sum)
	isOutcome(t, outcome, err, event.Duplicate)
	// It is no content that was done: with the right columns it goes out.
	h.Profiles = files.NewProfiles(nil, &files.Profile{Columns: map[string][]files.Column{
		"order_number": {{Name: "Bestellung"}}, "tracking_number": {{Name: "Paket"}},
	}})
	r.put("odd.csv", content)
	outcome, err = r.handle(h, "odd.csv", sum)
	isOutcome(t, outcome, err, event.Done)
	r.isPublished(1, 1)
}

func TestTrackingFile_EventsOfNoTrackingFile(t *testing.T) {
	t.Parallel()
	r := newFileRig(t)
	h := r.handler(r.ledger("first", 0))
	sum := r.put("there.csv", csv(1))
	if err := os.Symlink("there.csv", filepath.Join(r.dir, "link.csv")); err != nil {
		t.Fatal(err)
	}
	for body, class := range map[string]event.Class{
		`{}`: event.Invalid, `[]`: event.Invalid, `{"path":5}`: event.Invalid, `{"path":"there.csv","sha256":"abc"}`: event.Invalid,
		`{"path":"../there.csv"}`: event.Invalid, `{"path":"/etc/passwd"}`: event.Invalid, `{"path":"link.csv"}`: event.Invalid,
		`{"path":"gone.csv"}`:                            event.NotFound,
		`{"path":"gone.csv","sha256":"` + sum + `"}`:     event.NotFound,
		`{"path":"gone.csv","sha256":"","size":"unset"}`: event.NotFound,
	} {
		_, err := h.Handle(t.Context(), event.Event{Body: []byte(body), Attempt: 1})
		isClass(t, err, class)
	}
	// The file has changed since the event was sent: it has an event of its own.
	outcome, err := r.handle(h, "there.csv", strings.Repeat("0", 64))
	isOutcome(t, outcome, err, event.Skipped)
	r.isLying("link.csv", "there.csv")

	h.Inbox = &inbox.Dir{Path: filepath.Join(r.dir, "nowhere")}
	_, err = r.handle(h, "there.csv", sum)
	_ = isDeferral(t, err, event.Shortest)
}

// Two replicas watch: one saw the file before its writer went on, the other when it was whole. The event of the first is late.
func TestTrackingFile_EventOfWhatAFileBegunWith(t *testing.T) {
	t.Parallel()
	r := newFileRig(t)
	h := r.handler(r.ledger("first", 0))
	whole := csv(3)
	begun := whole[:strings.LastIndex(strings.TrimSuffix(whole, "\n"), "\n")+1]
	sum := r.put("grows.csv", whole)
	outcome, err := r.handle(h, "grows.csv", sum)
	isOutcome(t, outcome, err, event.Done)
	for _, c := range []struct {
		name, content string
		want          event.Outcome // "": not_found
	}{
		{"its beginning", begun, event.Duplicate},
		{"other content of that length", strings.Repeat("x", len(begun)), ""},
	} {
		hash := sha256.Sum256([]byte(c.content))
		body := fmt.Sprintf(`{"path":"grows.csv","sha256":"%x","size":%d}`, hash, len(c.content))
		outcome, err := h.Handle(t.Context(), event.Event{Body: []byte(body), Attempt: 1})
		if c.want == "" {
			isClass(t, err, event.NotFound)
			continue
		}
		isOutcome(t, outcome, err, c.want)
	}
}

// errKilled ends a handling as a crash does: what it was at is not known.
var errKilled = errors.New("killed")

// A handling that ends at any point is gone on with: what is recorded is not sent again, and no row is lost.
func TestTrackingFile_GoesOn(t *testing.T) {
	t.Parallel()
	r := newFileRig(t)
	const rows = 2300 // five blocks
	content := csv(rows) + ",T0\n"
	sum := r.put("large.csv", content)
	for _, at := range []string{"T3", "T700", "T701", "T1600", "T2300"} {
		r.publish = func(_ context.Context, number string) error {
			if number == at {
				return errKilled
			}
			return nil
		}
		if _, err := r.handle(r.handler(r.ledger("dies at "+at, 0)), "large.csv", sum); !errors.Is(err, errKilled) {
			t.Fatalf("at %s: %v", at, err)
		}
	}
	r.publish = nil
	h := r.handler(r.ledger("last", 0))
	// It dies once more when all is out, before the file is moved.
	h.Inbox = stuck{h.Inbox}
	_, err := r.handle(h, "large.csv", sum)
	isClass(t, err, event.Unavailable, "can't be moved")
	h = r.handler(r.ledger("another", 0))
	outcome, err := r.handle(h, "large.csv", sum)
	isOutcome(t, outcome, err, event.Duplicate)
	r.isLying("processed/large.csv", "failed/large.csv.rejected.csv")
	if len(r.published) != rows {
		t.Errorf("%d parcels were published, want %d", len(r.published), rows)
	}
	// The first block was recorded after the first death: whatever came later has not sent it again.
	for number, times := range r.published {
		if most := 3; times > most {
			t.Errorf("parcel %s was published %d times", number, times)
		}
	}
	if n := r.published["T3"]; n != 1 {
		t.Errorf("a parcel of a block that was recorded was published %d times", n)
	}
	rejected, err := os.ReadFile(filepath.Join(r.dir, "failed", "large.csv.rejected.csv"))
	if err != nil || strings.Count(string(rejected), "T0") != 1 {
		t.Errorf("rejected: %q, %v", rejected, err)
	}
}

// stuck is an inbox from which nothing can be moved.
type stuck struct{ handlers.Inbox }

type stuckFile struct{ inbox.File }

func (s stuck) Open(path string) (inbox.File, error) {
	f, err := s.Inbox.Open(path)
	return stuckFile{f}, err
}

func (stuckFile) Processed(context.Context, string) (string, error) {
	return "", errors.New("read-only file system")
}

// A file that is written to while it is read is not moved, and its rest not lost.
func TestTrackingFile_IsWrittenTo(t *testing.T) {
	t.Parallel()
	for _, rows := range []int{200, 20_000} { // it was read to its end before, or not
		r := newFileRig(t)
		h := r.handler(r.ledger("first", 0))
		content := csv(rows)
		sum := r.put("growing.csv", content[:1+strings.LastIndexByte(content[:len(content)/2], '\n')])
		var once sync.Once
		r.publish = func(context.Context, string) error {
			once.Do(func() { r.put("growing.csv", content) })
			return nil
		}
		outcome, err := r.handle(h, "growing.csv", sum)
		if err != nil { // it was empty for a moment
			_ = isDeferral(t, err, event.Shortest)
		} else {
			isOutcome(t, outcome, err, event.Done)
		}
		r.isLying("growing.csv")
		outcome, err = r.handle(h, "growing.csv", sum) // the event from before comes again
		isOutcome(t, outcome, err, event.Skipped)
		outcome, err = r.handle(h, "growing.csv", "")
		isOutcome(t, outcome, err, event.Done)
		for i := 1; i <= rows; i++ {
			if r.published[fmt.Sprintf("T%d", i)] == 0 {
				t.Fatalf("row %d is lost", i)
			}
		}
		r.isLying("processed/growing.csv")
	}
}

// A row that may be half-written is not sent, whoever sends the event.
func TestTrackingFile_WaitsForTheEndOfTheLastRow(t *testing.T) {
	t.Parallel()
	r := newFileRig(t)
	h := r.handler(r.ledger("first", 0))
	h.Inbox = &inbox.Dir{Path: r.dir}
	content := strings.TrimSuffix(csv(3), "\n")
	sum := r.put("open.csv", content)
	for _, hash := range []string{sum, ""} {
		_, err := r.handle(h, "open.csv", hash)
		if d := isDeferral(t, err, event.Nearest); d.Wait <= 0 || d.Wait > time.Minute || !strings.Contains(err.Error(), `"open.csv"`) {
			t.Errorf("it waits %s: %v", d.Wait, err)
		}
	}
	r.isPublished(0, 0)
	if err := os.Chtimes(filepath.Join(r.dir, "open.csv"), time.Time{}, time.Now().Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
	outcome, err := r.handle(h, "open.csv", sum)
	isOutcome(t, outcome, err, event.Done)
	r.isPublished(3, 3)
}

// fullFile is a file on a disk that is full.
type fullFile struct{ inbox.File }

func (fullFile) Rejected(string) (io.WriteCloser, error) {
	return nil, fmt.Errorf("make a file for bad rows: %w", syscall.ENOSPC)
}

func (fullFile) Processed(context.Context, string) (string, error) {
	return "", &os.LinkError{Op: "rename", Err: syscall.EROFS}
}

type fullDisk struct{ handlers.Inbox }

func (s fullDisk) Open(path string) (inbox.File, error) {
	f, err := s.Inbox.Open(path)
	return fullFile{f}, err
}

// A full disk is an outage and no fault of a file.
func TestTrackingFile_WaitsForAFullDisk(t *testing.T) {
	t.Parallel()
	r := newFileRig(t)
	for name, content := range map[string]string{"bad.csv": csv(1) + ",bad\n", "good.csv": csv(1)} {
		var outages []error
		h := r.handler(r.ledger(name, 0))
		h.Inbox, h.Outage = fullDisk{r.inbox()}, func(err error) { outages = append(outages, err) }
		sum := r.put(name, content)
		_, err := r.handle(h, name, sum)
		if d := isDeferral(t, err, event.Shortest); d.Downstream == "" || len(outages) != 1 || !strings.Contains(err.Error(), name) {
			t.Errorf("%s waits for %q after %v: %v", name, d.Downstream, outages, err)
		}
		h.Inbox = r.inbox()
		if _, err := r.handle(h, name, sum); err != nil {
			t.Error(err)
		}
	}
	r.isLying("processed/bad.csv", "processed/good.csv", "failed/bad.csv.rejected.csv")
}

// A file without a good row is mostly one that is read with the wrong settings: with others it is read again.
func TestTrackingFile_IsReadAgainWithOtherSettings(t *testing.T) {
	t.Parallel()
	r := newFileRig(t)
	h := r.handler(r.ledger("first", 0))
	const content = "order_number,tracking_number,Paket\n1,,T1\n2,,T2\n"
	sum := r.put("a.csv", content)
	outcome, err := r.handle(h, "a.csv", sum)
	isOutcome(t, outcome, err, event.Done)
	if !r.log.Has("tracking_file_no_good_row", "level", "error", "file", "a.csv") || !slices.Equal(r.ended, []string{handlers.FileNoGoodRow}) {
		t.Errorf("ended %q; log:\n%s", r.ended, r.log.String())
	}
	r.put("a.csv", content)
	outcome, err = r.handle(h, "a.csv", sum)
	isOutcome(t, outcome, err, event.Duplicate)
	h.Profiles = files.NewProfiles(nil, &files.Profile{Columns: map[string][]files.Column{"tracking_number": {{Name: "Paket"}}}})
	r.put("a.csv", content)
	outcome, err = r.handle(h, "a.csv", sum)
	isOutcome(t, outcome, err, event.Done)
	r.isPublished(2, 2)
}

// A file that is done is sent again when somebody wants it, each time, from where it lies, by the profile that is named.
func TestTrackingFile_IsSentAgain(t *testing.T) {
	t.Parallel()
	r := newFileRig(t)
	h := r.handler(r.ledger("first", 0))
	profiles, err := files.Parse("p.yaml", []byte("- {name: acme, pattern: none, columns: {tracking_number: Paket}}\n- {name: broken, pattern: nothing, columns: {tracking_number: nowhere, order_number: nowhere}}"))
	if err != nil {
		t.Fatal(err)
	}
	h.Profiles = files.NewProfiles(profiles, nil)
	sum := r.put("a.csv", "order_number,tracking_number,Paket\n1,T1,P1\n2,T2,P2\n")
	again := func(path, more string) (event.Outcome, error) {
		return h.Handle(t.Context(), event.Event{Body: fmt.Appendf(nil, `{"path":%q,"sha256":%q%s}`, path, sum, more), Attempt: 1})
	}
	for _, c := range []struct {
		path, more string
		want       event.Outcome
		lies       string
	}{
		{"a.csv", "", event.Done, "processed/a.csv"},
		{"processed/a.csv", "", event.Duplicate, "processed/a.csv"},
		{"processed/a.csv", `,"again":"1"`, event.Done, "processed/a.csv"},
		{"processed/a.csv", `,"again":"1"`, event.Duplicate, "processed/a.csv"},
		{"processed/a.csv", `,"again":"2"`, event.Done, "processed/a.csv"},
		{"processed/a.csv", `,"again":"3","profile":"acme"`, event.Done, "processed/a.csv"},
	} {
		outcome, err := again(c.path, c.more)
		isOutcome(t, outcome, err, c.want)
		r.isLying(c.lies)
	}
	if r.published["T1"] != 3 || r.published["P1"] != 1 || r.published["P2"] != 1 {
		t.Errorf("published %v", r.published)
	}
	// One that is of no use by this profile goes to failed/, and comes back with another one.
	outcome, err := again("processed/a.csv", `,"again":"4","profile":"broken"`)
	isOutcome(t, outcome, err, event.Skipped)
	r.isLying("failed/a.csv", "failed/a.csv.error.txt")
	outcome, err = again("failed/a.csv", `,"again":"5","profile":"acme"`)
	isOutcome(t, outcome, err, event.Done)
	r.isLying("processed/a.csv")
	_, err = again("processed/a.csv", fmt.Sprintf(`,"again":%q`, strings.Repeat("x", 65)))
	isClass(t, err, event.Invalid)
	outcome, err = again("processed/a.csv", `,"again":"6","profile":"nobody"`)
	if err == nil {
		t.Errorf("by a profile that there is not: %s", outcome)
	}
}

// Blocks that are out count as progress: a file may take longer than HANDLER_TIMEOUT, and than its lease.
func TestTrackingFile_TakesLong(t *testing.T) {
	t.Parallel()
	r := newFileRig(t)
	const timeout, lease = 4500 * time.Millisecond, 5500 * time.Millisecond
	l := r.ledger("slow", lease)
	other := r.handler(r.ledger("other", lease))
	sum := r.put("slow.csv", csv(3000))
	q := kit.Broker(t)
	var last int
	r.publish = func(ctx context.Context, number string) error {
		n, err := strconv.Atoi(strings.TrimPrefix(number, "T"))
		if err != nil || n%500 != 1 {
			return err
		}
		last = n
		select {
		case <-time.After(time.Second): // six blocks
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	run := r.runtime(q, consumer.Options{Limits: consumer.Limits{HandlerTimeout: timeout}, Lease: lease}, r.handler(l))
	r.run(func(ctx context.Context) { _ = run.Run(ctx) })
	kit.Eventually(t, 30*time.Second, func() bool { return run.Status().Ready() }, "the runtime to be ready")
	body, err := json.Marshal(handlers.FileReady{Path: "slow.csv", SHA256: sum})
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Publisher().Publish(t.Context(), "shipping.tracking_file.ready", body); err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, 30*time.Second, func() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.rows >= 500 }, "the first block to be out")
	// Meanwhile it is nobody else's.
	_, err = r.handle(other, "slow.csv", sum)
	_ = isDeferral(t, err, event.Shortest)
	kit.Eventually(t, 30*time.Second, func() bool { return slices.Contains(r.lies(), "processed/slow.csv") }, "the file to be processed")
	r.isPublished(3000, 1)
	if last != 2501 {
		t.Errorf("the last block began with row %d", last)
	}
}

// runtime makes a runtime with the handler of files.
func (r *fileRig) runtime(q *kit.Queues, o consumer.Options, h *handlers.TrackingFile, more ...consumer.Consumer) *consumer.Runtime {
	o.Broker, o.Exchange, o.Prefix, o.QueueType = rabbitmq.Options{URL: q.URL}, q.Exchange, q.Prefix, rabbitmq.Quorum
	for range 4 {
		o.RetryDelays = append(o.RetryDelays, time.Second)
	}
	q.RetryDelays(time.Second)
	o.Log = zerolog.New(r.log)
	o.Consumers = append(more, consumer.Consumer{
		Name: handlers.TrackingFileReady, Topics: []string{"shipping.tracking_file.ready"}, Handler: h,
	})
	runtime, err := consumer.New(o)
	if err != nil {
		r.t.Fatal(err)
	}
	return runtime
}

// run runs f in the background until the test ends or stop is called.
func (r *fileRig) run(f func(ctx context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.t.Context()))
	var ended sync.WaitGroup
	ended.Go(func() { f(ctx) })
	stop = sync.OnceFunc(func() { cancel(); ended.Wait() })
	r.t.Cleanup(stop)
	return stop
}

// Two replicas on one inbox, each with its watcher and its runtime, and one of them told to stop in the middle of a file:
// each file is handled once, each parcel arrives, and every file leaves the inbox.
func TestTrackingFile_InboxOfTwoReplicas(t *testing.T) {
	t.Parallel()
	r := newFileRig(t)
	q := kit.Broker(t)
	parcels := 0
	file := func(rows int) string {
		b := "order_number,tracking_number\n"
		for range rows {
			parcels++
			b += fmt.Sprintf("%d,T%d\n", parcels, parcels)
		}
		return b
	}
	// One is there before anybody runs.
	r.put("before – ü.csv", file(10))
	r.replica("stays", q, r.receiver())
	stop := r.replica("leaves", q)
	for i := range 20 {
		r.put(fmt.Sprintf("file %d.csv", i), file(3)+",bad"+fmt.Sprint(i)+"\n")
	}
	r.put("copy.csv", "order_number,tracking_number\n1,T1\n") // a parcel in two files
	r.put("no.csv", "\x00\x01")
	r.put("large.csv", file(20_000))
	kit.Eventually(t, time.Minute, func() bool { r.mu.Lock(); defer r.mu.Unlock(); return len(r.published) > 3000 }, "the large file to be under way")
	stop()
	kit.Eventually(t, time.Minute, func() bool {
		entries, err := os.ReadDir(r.dir)
		r.mu.Lock()
		defer r.mu.Unlock()
		return err == nil && len(entries) == 2 && len(r.published) == parcels
	}, "every file to leave the inbox, and every parcel to arrive")
	r.isRejected(20)
	// With the bad rows of 20, and what is wrong with one. A replica that comes late with a file has its name reserved for a moment.
	kit.Eventually(t, time.Minute, func() bool { return len(r.lies()) == 20*2+3+2 }, "each file to be there once, and the rejected rows")
	if n := r.doubled("T1"); n > 500 { // at the seam, a block
		t.Errorf("%d parcels were sent twice", n)
	}
	kit.Eventually(t, time.Minute, func() bool {
		return q.Depth(q.Queue("tracking_file_ready")) == 0 && q.Depth(q.RetryQueue(time.Second)) == 0
	}, "no event left")
	if n := q.Depth(q.DeadLetters("tracking_file_ready")); n != 0 {
		t.Errorf("%d dead letters", n)
	}
}

// receiver is tracking_received, which counts the parcels.
func (r *fileRig) receiver() consumer.Consumer {
	return consumer.Consumer{
		Name: "tracking_received", Topics: []string{"shipping.tracking.received"},
		Handler: consumer.HandlerFunc(func(_ context.Context, e event.Event) (event.Outcome, error) {
			var p struct {
				TrackingNumber string `json:"tracking_number"`
			}
			if err := json.Unmarshal(e.Body, &p); err != nil {
				return "", err
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			r.published[p.TrackingNumber]++
			return event.Done, nil
		}),
	}
}

// replica runs the watcher of an inbox, and the consumer of its files.
func (r *fileRig) replica(name string, q *kit.Queues, more ...consumer.Consumer) (stop func()) {
	r.t.Helper()
	h := r.handler(r.ledger(name, 10*time.Second))
	o := consumer.Options{Limits: consumer.Limits{HandlerTimeout: 5 * time.Second}, ShutdownTimeout: time.Millisecond, Lease: 10 * time.Second}
	run := r.runtime(q, o, h, more...)
	h.Publish = run.Publisher().Publish
	w := &inbox.Watcher{
		Dir: r.inbox(), Still: time.Second, Takes: func(path string) bool { return strings.HasSuffix(path, ".csv") }, Log: zerolog.New(r.log), Ready: func() bool { return run.Status().RabbitMQ.OK },
		Tell: func(ctx context.Context, f inbox.Found) error {
			body, err := json.Marshal(handlers.FileReady{Path: f.Path, SHA256: f.SHA256, Size: f.Size})
			if err != nil {
				return err
			}
			return run.Publisher().Publish(ctx, "shipping.tracking_file.ready", body)
		},
	}
	stopRun, stopWatch := r.run(func(ctx context.Context) { _ = run.Run(ctx) }), r.run(w.Run)
	return func() { stopWatch(); stopRun() }
}

// isRejected fails the test when not so many bad rows are in rejected files.
func (r *fileRig) isRejected(want int) {
	r.t.Helper()
	n := 0
	for _, name := range r.lies() {
		if strings.HasSuffix(name, ".rejected.csv") {
			content, err := os.ReadFile(filepath.Join(r.dir, name))
			if err != nil {
				r.t.Fatal(err)
			}
			n += strings.Count(string(content), "bad")
		}
	}
	if n != want {
		r.t.Errorf("%d bad rows are in rejected files, want %d: %q", n, want, r.lies())
	}
}

// doubled counts the parcels that were sent more than once, besides one that is in two files.
func (r *fileRig) doubled(besides string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for number, times := range r.published {
		if number != besides && times > 1 {
			n++
		}
	}
	return n
}
