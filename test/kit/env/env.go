// Package env makes the surroundings of mageline for the tests of the whole program: a simulated shop and ERP, a part of a
// broker, a database, and the replicas between them. docs/testing.md explains it.
package env

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/fakeerp"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/replica"
)

// Patience is how long anything may take that has no reason to take long, on a machine that is busy.
const Patience = replica.Patience

// Options are what environments differ in.
type Options struct {
	Program *replica.Program
	// Queues is a part of a broker, Database the address of an empty database; the zero values are new ones on the servers
	// that all tests use.
	Queues   *kit.Queues
	Database string
	Shop     fakemagento.Options // without a version: the one that the test's name stands for
	ERP      fakeerp.Mode
	Seed     uint64 // of the simulators' random choices
	// Delays are those of MAGELINE_RETRY_DELAYS.
	Delays []time.Duration
}

// Env is what mageline stands between, all this test's own. It is made before anything of mageline runs.
type Env struct {
	*kit.Queues
	Shop     *fakemagento.Server
	ERP      *fakeerp.Server
	Database string // its address, past any proxy
	Delays   []time.Duration
	// Vars are the variables of every replica, without MAGELINE_.
	Vars map[string]string
	// Replicas are all that Start has started.
	Replicas []*replica.Replica
	// ShopFront and ERPFront answer in place of the shop and the ERP while they are set.
	ShopFront, ERPFront Front

	t       testing.TB
	program *replica.Program
	held    atomic.Pointer[chan struct{}] // while set, the ERP keeps its callers waiting
	kept    atomic.Int64                  // callers that it has kept waiting
}

// New makes one.
func New(t testing.TB, o Options) *Env {
	t.Helper()
	if o.Queues == nil {
		o.Queues = kit.Broker(t)
	}
	if o.Database == "" {
		o.Database = kit.Database(t)
	}
	e := &Env{Queues: o.Queues, Database: withPassword(t, o.Database), Delays: o.Delays, t: t, program: o.Program}
	o.Shop.Seed, o.Shop.Token = o.Seed, ShopToken
	if o.Shop.Version == "" {
		o.Shop.Version = fakemagento.VersionFor(t.Name())
	}
	e.Shop = fakemagento.New(o.Shop)
	e.ERP = fakeerp.New(fakeerp.Options{Token: ERPToken, Secret: ERPSecret, Seed: o.Seed, Mode: o.ERP})
	shop := httptest.NewServer(e.ShopFront.before(e.Shop))
	t.Cleanup(func() { e.Shop.Close(); shop.CloseClientConnections(); shop.Close() })
	erp := httptest.NewServer(e.ERPFront.before(http.HandlerFunc(e.serveERP)))
	t.Cleanup(func() { e.ERP.Close(); erp.CloseClientConnections(); erp.Close() })
	e.Vars = map[string]string{
		"AMQP_URL": e.URL, "AMQP_EXCHANGE": e.Exchange, "QUEUE_PREFIX": e.Prefix, "RETRY_DELAYS": e.RetryDelays(e.Delays...),
		"DATABASE_URL": e.Database, "MAGENTO_URL": shop.URL, "MAGENTO_TOKEN": ShopToken,
		"ERP_URL": erp.URL, "ERP_NAME": "ACME", "ERP_TOKEN": ERPToken, "ERP_SECRET": ERPSecret,
		"HTTP_ADDR": "127.0.0.1:0", "LOG_LEVEL": "debug", "TRACKING_STILL": "1s",
	}
	return e
}

// withPassword adds a password to an address without one: a server that trusts takes any, and no log may show it.
func withPassword(t testing.TB, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	if _, has := u.User.Password(); !has {
		u.User = url.UserPassword(u.User.Username(), DatabasePassword)
	}
	return u.String()
}

// LeaseOfTheImpatient is the shortest lease that the time-outs of Impatient allow.
const LeaseOfTheImpatient = 7 * time.Second

// ImpatientDelays are retry delays with which what fails is tried again soon, and often.
func ImpatientDelays() []time.Duration {
	const ms = time.Millisecond
	return []time.Duration{
		300 * ms, 600 * ms, 1000 * ms, 1000 * ms, 1000 * ms, 2000 * ms, 2000 * ms, 2000 * ms, 3000 * ms, 3000 * ms, 3000 * ms, 3000 * ms,
	}
}

// Impatient has replicas time out and take over soon. An owner that was killed is outlasted by its lease; an ERP that books
// at arrival need not be given time to commit.
func (e *Env) Impatient() *Env {
	e.Set("HANDLER_TIMEOUT", "2s", "IDEMPOTENCY_LEASE", LeaseOfTheImpatient.String(), "ERP_TIMEOUT", "500ms", "MAGENTO_TIMEOUT", "1s",
		"BREAKER_OPEN_FOR", "1s", "ERP_UNCERTAIN_WAIT", "0", "CONCURRENCY", "4")
	return e
}

// Set changes variables of the replicas that are started from now on; they come as name, value, name, value. An empty value
// unsets its variable.
func (e *Env) Set(pairs ...string) { e.Vars = e.With(pairs...) }

// With returns the variables with some of them changed, as Set changes them.
func (e *Env) With(pairs ...string) map[string]string {
	vars := maps.Clone(e.Vars)
	for i := 0; i < len(pairs); i += 2 {
		vars[pairs[i]] = pairs[i+1]
		if pairs[i+1] == "" {
			delete(vars, pairs[i])
		}
	}
	return vars
}

// Link puts a proxy before what a variable, such as ERP_URL, has the address of.
func (e *Env) Link(variable string) *kit.Proxy {
	e.t.Helper()
	proxy, address := kit.ProxyURL(e.t, e.Vars[variable])
	e.Set(variable, address)
	return proxy
}

// Start starts a replica and does not wait for anything. pairs change variables for this one alone.
func (e *Env) Start(pairs ...string) *replica.Replica {
	e.t.Helper()
	return e.Add(e.program.Start(e.t, e.With(pairs...)))
}

// Add has Finish stop a replica that was started in another way.
func (e *Env) Add(r *replica.Replica) *replica.Replica {
	e.Replicas = append(e.Replicas, r)
	return r
}

// Run starts replicas and waits until they are ready.
func (e *Env) Run(n int) []*replica.Replica {
	e.t.Helper()
	from := len(e.Replicas)
	for range n {
		e.Start()
	}
	for _, r := range e.Replicas[from:] {
		r.AwaitReady()
	}
	return slices.Clone(e.Replicas[from:])
}

// Call runs another command of mageline to its end.
func (e *Env) Call(args ...string) (output string, code int) {
	e.t.Helper()
	return e.program.Call(e.t, e.Vars, args...)
}

// MustCall runs one that must end with 0.
func (e *Env) MustCall(args ...string) (output string) {
	e.t.Helper()
	output, code := e.Call(args...)
	if code != 0 {
		e.t.Fatalf("mageline %v ends with %d: %s", args, code, output)
	}
	return output
}

// Hold has the ERP keep its callers waiting, and book nothing, until release or until they leave.
func (e *Env) Hold() (release func()) {
	held := make(chan struct{})
	e.held.Store(&held)
	return func() {
		e.held.Store(nil)
		close(held)
	}
}

// Held counts the calls that the ERP has ever kept waiting.
func (e *Env) Held() int { return int(e.kept.Load()) }

// AwaitHeld waits until there are so many.
func (e *Env) AwaitHeld(n int) {
	e.t.Helper()
	kit.Eventually(e.t, Patience, func() bool { return e.Held() >= n }, fmt.Sprintf("%d calls to come to the ERP, which holds them", n))
}

func (e *Env) serveERP(w http.ResponseWriter, r *http.Request) {
	if held := e.held.Load(); held != nil {
		e.kept.Add(1)
		select {
		case <-*held:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	e.ERP.ServeHTTP(w, r)
}

// Front stands before a remote API and may answer in its place.
type Front struct{ f atomic.Pointer[FrontFunc] }

// FrontFunc answers a request, or has api answer it.
type FrontFunc func(w http.ResponseWriter, r *http.Request, api http.Handler)

// Set has f answer from now on; nil: the API answers again.
func (f *Front) Set(answer FrontFunc) {
	if answer == nil {
		f.f.Store(nil)
		return
	}
	f.f.Store(&answer)
}

// OnCall has then called, once for each call to a path, before or after the API has done its work; the answer is lost.
func (f *Front) OnCall(method, path string, after bool, then func()) {
	f.Set(onCall(method, path, after, then))
}

func (f *Front) before(api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Only when the body is read to its end does the server notice that the caller leaves.
		body, err := io.ReadAll(io.LimitReader(r.Body, 32<<20))
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if answer := f.f.Load(); answer != nil {
			(*answer)(w, r, api)
			return
		}
		api.ServeHTTP(w, r)
	})
}

// SQL runs statements in the database, past any proxy.
func (e *Env) SQL(statements ...string) {
	e.t.Helper()
	SQL(e.t, e.Database, statements...)
}

// SQL runs statements in the database at an address.
func SQL(t testing.TB, address string, statements ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// Channel opens a channel at the broker, past any proxy, and closes its connection when f returns.
func (e *Env) Channel(f func(ch *amqp.Channel) error) {
	e.t.Helper()
	conn, err := amqp.Dial(e.URL)
	if err != nil {
		e.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel()
	if err == nil {
		err = f(ch)
	}
	if err != nil {
		e.t.Fatal(err)
	}
}
