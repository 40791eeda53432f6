// Package elastic writes documents to OpenSearch 1 to 3 and Elasticsearch 7.10 to 9, which take the same requests: `_bulk` with
// external versions, indexes behind aliases, `_aliases` to swap them.
//
// An index that the shop's front end asks for is an alias. Behind it is one index with a name of its own, a generation. Each
// generation has a second alias that nobody else has, the Name of its search.Target, and all writes go there with require_alias: an
// engine makes a missing index by itself, with fields of its own guess, but never a missing alias. docs/search-engines.md has the
// rights that the credential needs, the limits and the table of errors.
package elastic

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/search"
)

// Downstream is the name that errors of a search engine bear.
const Downstream = "search"

// VersionField is the field that the client adds to each document: the version of search.Write. An engine can't search by the
// version that it keeps itself.
const VersionField = "mageline_version"

// GCDeletes is how long an index remembers a deletion, if Options.Settings do not say otherwise: the setting gc_deletes. A node that
// restarts forgets them all the same.
const GCDeletes = "24h"

// Options say how an engine is called.
type Options struct {
	// HTTP sends the requests; its transport may have limits, a circuit and the traceparent header. Redirects are never followed.
	HTTP *http.Client
	// URLs are the addresses of the engine's nodes, or of a load balancer: http or https, with or without a path. After a failure
	// the next one is asked.
	URLs []string
	// AddressName and CredentialName are what the settings are called that hold addresses and credential, for errors.
	AddressName, CredentialName string
	// Credential makes the header Authorization; nil sends none.
	Credential Credential
	// Settings are those of an index that is made, by their names without "index.", such as "number_of_replicas" or "analysis".
	Settings map[string]any
	// Gzip compresses the bodies of bulk requests: for an engine that is far away.
	Gzip bool
	// MaxBytes and MaxItems bound one bulk request, before it is compressed; 0 is 5 MiB and 1,000. After an answer 413 the bound in
	// bytes is lowered until the process ends.
	MaxBytes, MaxItems int
	// MaxDocument bounds one document in bytes; 0 is 10,000,000. The smallest managed engines take requests of 10 MiB.
	MaxDocument int
	Repeats     Repeats
	// Now tells the time; nil is time.Now.
	Now func() time.Time
}

// Repeats say how a request is repeated that an engine throttles, or that no node answered, and how single items of a bulk request
// are.
type Repeats struct {
	// Max is how often: 0 is five times, below 0 never.
	Max int
	// Wait is the first wait, 0 is 0.2 s. Each is twice as long as the one before; up to half of it is left out by chance.
	Wait time.Duration
	// MaxWait is the longest wait, 0 is 10 s. If an engine asks for a longer one (Retry-After), nobody waits: the error is returned.
	MaxWait time.Duration
}

// Credential returns the value of the header Authorization. refused is true where the engine has refused the one of before, which
// is then to be renewed. It is called for each request, by several goroutines at once.
type Credential func(ctx context.Context, refused bool) (string, error)

// Basic is a user with a password.
func Basic(user, password string) Credential {
	return fixed("Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
}

// APIKey is a key of Elasticsearch in its encoded form, or one of OpenSearch 3.7 or newer. It is sent as it is.
func APIKey(token string) Credential { return fixed("ApiKey " + token) }

// Bearer is a JSON Web Token, or another token of that scheme.
func Bearer(token string) Credential { return fixed("Bearer " + token) }

func fixed(header string) Credential {
	return func(context.Context, bool) (string, error) { return header, nil }
}

// Client is one engine. It is safe for use by several goroutines.
type Client struct {
	o     Options
	http  http.Client
	bases []*url.URL
	turn  atomic.Uint32 // which of bases is asked
	bytes atomic.Int64  // the bound of a bulk request
	known atomic.Bool   // that the engine is one that is supported
}

var (
	_ search.Builder   = (*Client)(nil)
	_ search.Inspector = (*Client)(nil)
)

// New makes a Client. It connects to nothing.
func New(o Options) (*Client, error) {
	o.AddressName = cmp.Or(o.AddressName, "the search engine's address")
	o.CredentialName = cmp.Or(o.CredentialName, "the search engine's credential")
	o.MaxBytes, o.MaxItems, o.MaxDocument = cmp.Or(o.MaxBytes, 5<<20), cmp.Or(o.MaxItems, 1000), cmp.Or(o.MaxDocument, 10_000_000)
	o.Repeats = Repeats{cmp.Or(o.Repeats.Max, 5), cmp.Or(o.Repeats.Wait, 200*time.Millisecond), cmp.Or(o.Repeats.MaxWait, 10*time.Second)}
	if o.Now == nil {
		o.Now = time.Now
	}
	if len(o.URLs) == 0 {
		return nil, fmt.Errorf("%s is empty: want http://host:9200 or https://host", o.AddressName)
	}
	c := &Client{o: o}
	for _, address := range o.URLs {
		base, err := url.Parse(strings.TrimSpace(address))
		if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" || base.RawQuery != "" || base.Fragment != "" {
			// The parser's error would repeat a password in the address.
			return nil, fmt.Errorf("%s is not an address: want http://host:9200 or https://host/path", o.AddressName)
		}
		c.bases = append(c.bases, base)
	}
	if o.HTTP != nil {
		c.http = *o.HTTP
	}
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.bytes.Store(int64(o.MaxBytes))
	return c, nil
}

// maxName bounds the name of an index so that those of its generations are within the engines' 255 bytes.
const maxName = 200

// CheckName returns an error for a name that no index can have.
func CheckName(index string) error {
	switch {
	case index == "" || len(index) > maxName:
		return fmt.Errorf("an index name has 1 to %d bytes", maxName)
	case strings.ContainsAny(index, "\\/*?\"<>|,#: \t\r\n") || index == "." || index == "..":
		return errors.New(`an index name has none of \ / * ? " < > | , # : in it, and no blank`)
	case strings.ToLower(index) != index:
		return errors.New("an index name is in lower case")
	case strings.ContainsRune("-_+", rune(index[0])):
		return errors.New("an index name does not begin with - _ or +")
	}
	return nil
}

func invalid(format string, args ...any) error {
	return &event.Error{Class: event.Invalid, Downstream: Downstream, Err: fmt.Errorf(format, args...)}
}
