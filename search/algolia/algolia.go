// Package algolia writes documents to Algolia (search.Engine, search.Builder). docs/decisions/060-versions-in-algolia.md says how
// the newest version of a document stays there.
//
// Each record has two attributes besides its document: _version, from which the version is read, and _deleted, 0 or the time in
// milliseconds at which the document was deleted. A record of a deleted document has no other attributes, and is gone after an hour.
package algolia

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mageline/mageline/search"
)

// downstream is the name that errors bear.
const downstream = "search"

// Bounds of a request. Algolia's own helpers send 1,000 records at once; its advice is to stay below 10 MB.
const (
	maxItems       = 1000
	maxBytes       = 5 << 20
	defaultRecord  = 100_000
	defaultTimeout = 30 * time.Second
	// taskWait is how long Write waits for what it has sent. A task that takes longer is queued, and will be done.
	taskWait = 20 * time.Second
	// deletedFor is how long the record of a deleted document stays.
	deletedFor = time.Hour
)

// Rights are what the key must be allowed to do.
var Rights = []string{"addObject", "browse", "deleteIndex", "editSettings", "search", "settings"}

// Options say how Algolia is called.
type Options struct {
	// HTTP sends the requests; its transport may have limits and a circuit. It should allow for requests of Timeout.
	HTTP          *http.Client
	ApplicationID string
	// Key returns the API key. It is called for each request, so that a key that was renewed is used at once.
	Key func() string
	// Hosts are base addresses in the order in which they are tried. Empty: Algolia's own, of which the fallback hosts are shuffled.
	Hosts []string
	// RecordLimit is how many bytes the plan allows for a record; 0 is 100,000. Documents are cut to 5 % below, because Algolia
	// counts a little differently.
	RecordLimit int
	// BatchItems and BatchBytes bound a batch; 0 is 1,000 and 5 MiB.
	BatchItems, BatchBytes int
	// Timeout is of one request, and longer for each one that is repeated after a time-out; 0 is 30 s.
	Timeout time.Duration
	// DeletedFor is how long a deletion is remembered in the index; 0 is an hour.
	DeletedFor time.Duration
	// Warn is told what a person should know and no caller can act on; nil: nobody is.
	Warn func(err error)
	// Now tells the time; nil is time.Now.
	Now func() time.Time
}

// Engine is one application of Algolia. It is safe for concurrent use.
type Engine struct {
	o      Options
	http   http.Client
	hosts  hosts
	poll   time.Duration // the step by which the wait between two looks at a task grows
	record int           // how many bytes a record may have

	mu     sync.Mutex
	fields map[string][]search.Field // by index
	purged map[string]time.Time      // by name: when the records of deleted documents were removed
	moved  map[string]search.Target  // by index: the generation that has its place since a move
	pause  pause
}

var _ search.Builder = (*Engine)(nil)

// New makes an Engine. It connects to nothing.
func New(o Options) (*Engine, error) {
	if o.ApplicationID == "" || o.Key == nil {
		return nil, errors.New("algolia needs an application id and a key")
	}
	o.RecordLimit = cmp.Or(o.RecordLimit, defaultRecord)
	o.BatchItems = min(cmp.Or(o.BatchItems, maxItems), maxItems)
	o.BatchBytes = cmp.Or(o.BatchBytes, maxBytes)
	o.Timeout = cmp.Or(o.Timeout, defaultTimeout)
	o.DeletedFor = cmp.Or(o.DeletedFor, deletedFor)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Warn == nil {
		o.Warn = func(error) {}
	}
	if o.RecordLimit < 1000 || o.BatchItems < 1 || o.BatchBytes < 1 {
		return nil, fmt.Errorf("a record limit of %d bytes, batches of %d records and %d bytes: a record needs at least 1000 bytes, a batch one record",
			o.RecordLimit, o.BatchItems, o.BatchBytes)
	}
	e := &Engine{
		o: o, poll: 200 * time.Millisecond, record: o.RecordLimit - o.RecordLimit/20,
		fields: map[string][]search.Field{}, purged: map[string]time.Time{}, moved: map[string]search.Target{},
	}
	if o.HTTP != nil {
		e.http = *o.HTTP
	}
	e.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	addresses := o.Hosts
	if len(addresses) == 0 {
		addresses = ownHosts(o.ApplicationID)
	}
	for _, a := range addresses {
		u, err := url.Parse(a)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.User != nil {
			return nil, errors.New("a host of Algolia is not an address: want https://host")
		}
		e.hosts.all = append(e.hosts.all, host{base: strings.TrimRight(u.String(), "/")})
	}
	return e, nil
}

// remember keeps the fields of an index: what a document lacks of them is removed from its record.
func (e *Engine) remember(index string, fields []search.Field) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fields[index] = slices.Clone(fields)
}

func (e *Engine) fieldsOf(index string) ([]search.Field, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f, ok := e.fields[index]
	return f, ok
}

// path joins escaped segments to a path below /1/indexes.
func path(segments ...string) string {
	p := "/1/indexes"
	for _, s := range segments {
		p += "/" + url.PathEscape(s)
	}
	return p
}
