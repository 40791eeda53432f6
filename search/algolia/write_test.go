package algolia

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/search"
	"github.com/mageline/mageline/test/kit/fakealgolia"
)

func TestWrite_WritesWholeDocuments(t *testing.T) {
	r := newRig(t)
	e, target := r.ready(nil)
	full := search.Write{ID: "A/1 ä", Version: 5, Document: json.RawMessage(`{"sku":"A/1 ä","name":"<b>","description":"long","price":1.50,"variants":[{"sku":"V","price":2}]}`)}
	r.write(e, target, full)
	r.write(e, target, search.Write{ID: "A/1 ä", Version: 6, Document: json.RawMessage(`{"sku":"A/1 ä","name":"new"}`)})
	got := r.fake.Records(index)["A/1 ä"]
	want := map[string]string{"objectID": `"A/1 ä"`, "sku": `"A/1 ä"`, "name": `"new"`, versionIn: "6000", deletedIn: "0"}
	have := map[string]string{}
	for name, v := range got {
		have[name] = string(v)
	}
	if !maps.Equal(have, want) {
		t.Errorf("the record is %v, want %v: what the second document lacks must be gone", have, want)
	}
}

// One document over versions that come in any order: what the index has after each write.
func TestWrite_NewestVersionStays(t *testing.T) {
	for name, tt := range map[string]struct {
		writes []search.Write
		want   string // "" is deleted
		stale  []bool
	}{
		"newer replaces":                 {[]search.Write{doc(1, "A", "one"), doc(2, "A", "two")}, "two", []bool{false, false}},
		"older changes nothing":          {[]search.Write{doc(2, "A", "two"), doc(1, "A", "one")}, "two", []bool{false, true}},
		"equal is written again":         {[]search.Write{doc(2, "A", "two"), doc(2, "A", "again"), doc(2, "A", "third")}, "third", []bool{false, false, false}},
		"newer after equal ones":         {[]search.Write{doc(2, "A", "two"), doc(2, "A", "again"), doc(3, "A", "new")}, "new", []bool{false, false, false}},
		"deletion":                       {[]search.Write{doc(2, "A", "two"), deletion(3, "A")}, "", []bool{false, false}},
		"older deletion changes nothing": {[]search.Write{doc(2, "A", "two"), deletion(1, "A")}, "two", []bool{false, true}},
		"deletion is not resurrected":    {[]search.Write{doc(2, "A", "two"), deletion(4, "A"), doc(3, "A", "late")}, "", []bool{false, false, true}},
		"deletion before the create":     {[]search.Write{deletion(4, "A"), doc(3, "A", "late")}, "", []bool{false, true}},
		"newer after a deletion":         {[]search.Write{deletion(4, "A"), doc(5, "A", "back")}, "back", []bool{false, false}},
		"equal after a deletion":         {[]search.Write{deletion(4, "A"), doc(4, "A", "back")}, "back", []bool{false, false}},
		"equal deletion":                 {[]search.Write{doc(4, "A", "x"), deletion(4, "A")}, "", []bool{false, false}},
	} {
		t.Run(name, func(t *testing.T) {
			check := func(t *testing.T, r *rig, results []search.Result) {
				t.Helper()
				for i, res := range results {
					if res.Stale != tt.stale[i] || res.Err != nil {
						t.Errorf("write %d: stale %t, %v; want %t", i, res.Stale, res.Err, tt.stale[i])
					}
				}
				if got := r.names(index)["A"]; got != tt.want {
					t.Errorf("the index has %q, want %q", got, tt.want)
				}
			}
			t.Run("one after the other", func(t *testing.T) {
				r := newRig(t)
				e, target := r.ready(nil)
				var results []search.Result
				for _, w := range tt.writes {
					results = append(results, r.write(e, target, w)...)
				}
				check(t, r, results)
			})
			// The last of the newest is written, and the others are stale or as good as written.
			t.Run("in one call", func(t *testing.T) {
				r := newRig(t)
				e, target := r.ready(nil)
				r.write(e, target, tt.writes...)
				if got := r.names(index)["A"]; got != tt.want {
					t.Errorf("the index has %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// What is on its way while a newer write is done must not undo it: Algolia itself refuses it.
func TestWrite_LateRequestDoesNotUndoANewerOne(t *testing.T) {
	r := newRig(t)
	e, target := r.ready(nil)
	r.write(e, target, doc(1, "A", "one"), doc(1, "B", "one"))
	release := r.fake.HoldTasks(index)
	// Both have read version 1. The older one is queued last.
	have := stored{there: true, ours: true, version: 1}
	w := writing{e: e, name: target.Name, fields: fields, results: make([]search.Result, 4), writes: []search.Write{
		doc(3, "A", "three"), deletion(3, "B"), doc(2, "A", "two"), doc(2, "B", "two"),
	}}
	for i := range w.writes {
		body, _, err := w.operation(w.writes[i], have)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.send(t.Context(), []item{{w.writes[i].ID, body, i}}, &budget{}); err != nil {
			t.Fatal(err)
		}
	}
	release()
	if got := r.names(index); !maps.Equal(got, map[string]string{"A": "three"}) {
		t.Errorf("the index has %v", got)
	}
}

// Many writers of few documents, of which some are interrupted and come again, in any order.
func TestWrite_ShuffledVersionsOfTwoProcessesEndNewest(t *testing.T) {
	r := newRig(t)
	r.fake.SetDelay(2 * time.Millisecond)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, seed))
	var all []search.Write
	want := map[string]string{}
	for sku := range 20 {
		id := fmt.Sprintf("S%d", sku)
		for v := int64(1); v <= 12; v++ {
			if random.IntN(4) == 0 {
				all = append(all, deletion(v, id))
				delete(want, id)
				continue
			}
			name := fmt.Sprintf("%s of %d", id, v)
			all = append(all, doc(v, id, name))
			want[id] = name
		}
	}
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	parts := make(chan []search.Write, len(all))
	for part := range slices.Chunk(all, 7) {
		parts <- part
	}
	close(parts)
	var wg sync.WaitGroup
	for n := range 4 {
		e, target := r.ready(func(o *Options) { o.BatchItems = 3 + n })
		wg.Go(func() {
			for part := range parts {
				if n == 0 {
					r.fake.LoseAnswers(1)
				}
				for {
					results, err := e.Write(t.Context(), target, part)
					if err == nil {
						for i, res := range results {
							if res.Err != nil {
								t.Errorf("%s: %v", part[i].ID, res.Err)
							}
						}
						break
					}
					if c := event.ClassOf(err); c != event.Unavailable && c != event.Timeout {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	if got := r.names(index); !maps.Equal(got, want) {
		t.Errorf("the index has %v, want %v", got, want)
	}
}

func TestWrite_CounterOfOneVersionStartsAgain(t *testing.T) {
	r := newRig(t)
	e, target := r.ready(nil)
	r.write(e, target, doc(7, "A", "first"))
	r.fake.Put(index, "A", map[string]any{"name": "full", versionIn: 7999, deletedIn: 0, "description": "left"})
	r.write(e, target, doc(7, "A", "again"))
	got := r.fake.Records(index)["A"]
	if string(got[versionIn]) != "7000" || string(got["name"]) != `"again"` || got["description"] != nil {
		t.Errorf("the record is %s", got)
	}
	if res := r.write(e, target, doc(6, "A", "old")); !res[0].Stale {
		t.Error("an older version was written")
	}
}

func TestWrite_ReplacesARecordThatIsNotOurs(t *testing.T) {
	r := newRig(t)
	e, target := r.ready(nil)
	r.fake.Put(index, "A", map[string]any{"name": "of the extension", "categories_without_path": []string{"x"}})
	r.write(e, target, doc(1, "A", "ours"))
	if got := r.fake.Records(index)["A"]; got["categories_without_path"] != nil || string(got[versionIn]) != "1000" {
		t.Errorf("the record is %s", got)
	}
}

// What Algolia answers, and what becomes of the documents.
func TestWrite_EveryAnswer(t *testing.T) {
	two := func() []search.Write { return []search.Write{doc(1, "A", "a"), doc(1, "B", "b")} }
	for name, tt := range map[string]struct {
		set     func(f *fakealgolia.Server)
		options func(o *Options)
		class   event.Class // of the call
		says    string
		done    bool
	}{
		"200": {done: true},
		"402": {set: func(f *fakealgolia.Server) { f.SetUnpaid(true) }, class: event.Unauthorized, says: "plan"},
		"403 of the key": {
			set:     func(f *fakealgolia.Server) { f.AddKey("reader", []string{"search", "settings", "browse"}) },
			options: func(o *Options) { o.Key = theKey("reader") }, class: event.Unauthorized, says: "addObject",
		},
		"403 of the application":   {options: func(o *Options) { o.ApplicationID = "OTHER" }, class: event.Unauthorized, says: "application id"},
		"404":                      {set: func(f *fakealgolia.Server) { f.Drop(index) }, class: event.NotFound, says: "deleted the index"},
		"413":                      {set: func(f *fakealgolia.Server) { f.SetBodyLimit(300) }, done: true},
		"429":                      {set: func(f *fakealgolia.Server) { f.Throttle(1) }, class: event.Throttled, says: "Too many jobs"},
		"500 of one host":          {set: func(f *fakealgolia.Server) { f.Down(0, 500) }, done: true},
		"503 of three hosts":       {set: func(f *fakealgolia.Server) { f.Down(0, 503); f.Down(1, 503); f.Down(2, 503) }, done: true},
		"502 of all hosts":         {set: func(f *fakealgolia.Server) { f.Down(0, 502); f.Down(1, 502); f.Down(2, 502); f.Down(3, 502) }, class: event.Unavailable, says: "502"},
		"network":                  {set: func(f *fakealgolia.Server) { f.Down(0, fakealgolia.Cut) }, done: true},
		"network of all hosts":     {set: func(f *fakealgolia.Server) { cutAll(f, fakealgolia.Cut) }, class: event.Unavailable, says: "no answer"},
		"time-out":                 {set: func(f *fakealgolia.Server) { f.Down(0, fakealgolia.Hang) }, done: true},
		"time-out of all":          {set: func(f *fakealgolia.Server) { cutAll(f, fakealgolia.Hang) }, class: event.Timeout, says: "no answer"},
		"uncertain":                {set: func(f *fakealgolia.Server) { f.LoseAnswers(1) }, done: true},
		"uncertain, on every host": {set: func(f *fakealgolia.Server) { f.LoseAnswers(4) }, class: event.Unavailable, says: "no answer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			_, target := r.ready(nil)
			if tt.set != nil {
				tt.set(r.fake)
			}
			e := r.engine(func(o *Options) {
				o.Timeout = 5 * time.Second
				if strings.HasPrefix(name, "time-out") {
					o.Timeout = 50 * time.Millisecond
				}
				if tt.options != nil {
					tt.options(o)
				}
			})
			e.remember(index, fields)
			results, err := e.Write(t.Context(), target, two())
			if tt.done {
				if err != nil || results[0].Err != nil || results[1].Err != nil {
					t.Fatalf("%v, %v", results, err)
				}
				if got := r.names(index); !maps.Equal(got, map[string]string{"A": "a", "B": "b"}) {
					t.Errorf("the index has %v", got)
				}
				return
			}
			if err == nil || event.ClassOf(err) != tt.class || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, class %s; want %s and %q", err, event.ClassOf(err), tt.class, tt.says)
			}
			if err != nil && (strings.Contains(err.Error(), fakealgolia.Key) || strings.Contains(err.Error(), "http://")) {
				t.Errorf("the error has a key or an address: %v", err)
			}
			// Whatever was done, it ends the same when it is repeated.
			for n := range fakealgolia.Hosts {
				r.fake.Down(n, 0)
			}
			r.fake.SetUnpaid(false)
			r.write(mustReady(r), target, two()...)
			if got := r.names(index); !maps.Equal(got, map[string]string{"A": "a", "B": "b"}) {
				t.Errorf("repeated, the index has %v", got)
			}
		})
	}
}

func mustReady(r *rig) *Engine {
	e, _ := r.ready(nil)
	return e
}

func cutAll(f *fakealgolia.Server, how int) {
	for n := range fakealgolia.Hosts {
		f.Down(n, how)
	}
}

// A record that is too big by Algolia's own count is taken out, however it is named, and the others are written.
func TestWrite_TooBigRecordIsRejectedAlone(t *testing.T) {
	for name, form := range map[string]fakealgolia.Form{
		"named": fakealgolia.Named, "position": fakealgolia.Position, "text": fakealgolia.Text, "silent": fakealgolia.Silent,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.fake.SetRecordLimit(2000, form)
			e, target := r.ready(nil)
			writes := many(40, 100, 1)
			for _, i := range []int{0, 17, 39} {
				writes[i] = doc(1, writes[i].ID, strings.Repeat("y", 2500))
			}
			results, err := e.Write(t.Context(), target, writes)
			if err != nil {
				t.Fatal(err)
			}
			for i, res := range results {
				want := i == 0 || i == 17 || i == 39
				if (res.Err != nil) != want || want && (event.ClassOf(res.Err) != event.Rejected || !strings.Contains(res.Err.Error(), writes[i].ID)) {
					t.Errorf("document %d: %v", i, res.Err)
				}
			}
			if n := len(r.names(index)); n != 37 {
				t.Errorf("%d documents are written, want 37", n)
			}
		})
	}
}

func TestWrite_CutsToFivePercentBelowTheLimit(t *testing.T) {
	r := newRig(t)
	r.fake.SetRecordLimit(10_000, fakealgolia.Named)
	e, target := r.ready(func(o *Options) { o.RecordLimit = 10_000 })
	for size := 9000; size <= 11_000; size += 50 {
		d, _ := json.Marshal(map[string]any{"sku": "A", "name": "n", "description": strings.Repeat("wort ", size/5)})
		res := r.write(e, target, search.Write{ID: "A", Version: int64(size), Document: d})
		if cut := slices.Contains(res[0].Cut, "description"); cut != (size > 9200) && (size < 9000 || size > 9400) {
			t.Errorf("%d bytes: cut %q", size, res[0].Cut)
		}
	}
	r.nothingRefused()
}

func TestWrite_UnusableDocumentIsRejectedAlone(t *testing.T) {
	r := newRig(t)
	e, target := r.ready(nil)
	results, err := e.Write(t.Context(), target, []search.Write{
		doc(1, "A", "a"),
		{ID: "", Version: 1, Document: json.RawMessage(`{}`)},
		{ID: "C", Version: 0, Document: json.RawMessage(`{}`)},
		{ID: "D", Version: 1, Document: json.RawMessage(`[1]`)},
		{ID: "E", Version: 1, Document: json.RawMessage(`{"_version":5}`)},
		{ID: "F", Version: maxVersion + 1, Document: json.RawMessage(`{}`)},
	})
	if err != nil || results[0].Err != nil {
		t.Fatal(results, err)
	}
	for i, res := range results[1:] {
		if event.ClassOf(res.Err) != event.Rejected {
			t.Errorf("document %d: %v", i+1, res.Err)
		}
	}
	if _, err := r.engine(nil).Write(t.Context(), target, many(1, 1, 1)); err == nil {
		t.Error("documents are written before the fields are known")
	}
}

// A batch that is refused without a reason that helps ends, and not after as many requests as it has records.
func TestWrite_BatchRefusedForNoReasonEnds(t *testing.T) {
	r := newRig(t)
	r.fake.SetRecordLimit(100, fakealgolia.Silent)
	e, target := r.ready(nil)
	results, err := e.Write(t.Context(), target, many(1000, 200, 1))
	if err != nil {
		t.Fatal(err)
	}
	for _, res := range results {
		if event.ClassOf(res.Err) != event.Rejected {
			t.Fatal(res.Err)
		}
	}
	if n := r.fake.Calls("POST batch"); n > 100 {
		t.Errorf("%d batches", n)
	}
}

func TestWrite_BatchesAreBounded(t *testing.T) {
	r := newRig(t)
	r.fake.SetBodyLimit(120_000)
	e, target := r.ready(func(o *Options) { o.BatchItems, o.BatchBytes = 300, 100_000 })
	r.write(e, target, many(1000, 400, 1)...)
	// About 560 bytes each: 178 fit, so 300 are two batches, and 100 one.
	if n, q := r.fake.Calls("POST batch"), r.fake.Calls("POST objects"); n != 7 || q != 4 {
		t.Errorf("%d batches, %d questions", n, q)
	}
	r.nothingRefused()
}

func TestWrite_ThrottleWaitsForMinutes(t *testing.T) {
	r := newRig(t)
	e, target := r.ready(nil)
	wait := time.Duration(0)
	for _, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 10 * time.Minute, 10 * time.Minute} {
		r.clock.add(wait)
		r.fake.Throttle(1)
		_, err := e.Write(t.Context(), target, many(1, 1, 1))
		if got := retryAfter(err); event.ClassOf(err) != event.Throttled || got != want {
			t.Fatalf("%v, wait %s; want %s", err, got, want)
		}
		before := r.fake.Hits()
		r.clock.add(30 * time.Second)
		_, err = e.Write(t.Context(), target, many(1, 1, 1))
		if got := retryAfter(err); !event.IsNotDone(err) || got != want-30*time.Second || r.fake.Hits() != before {
			t.Fatalf("meanwhile: %v, wait %s", err, got)
		}
		wait = want - 30*time.Second
	}
	r.clock.add(wait)
	r.write(e, target, many(1, 1, 1)...)
	r.fake.Throttle(1)
	if _, err := e.Write(t.Context(), target, many(1, 1, 2)); retryAfter(err) != time.Minute {
		t.Errorf("after a success: %v", err)
	}
}

func retryAfter(err error) time.Duration {
	if e := new(event.Error); errorsAs(err, &e) {
		return e.RetryAfter
	}
	return 0
}

func TestHosts_FailedHostIsLeftForFiveMinutes(t *testing.T) {
	r := newRig(t)
	e, target := r.ready(nil)
	r.fake.Down(0, http.StatusInternalServerError)
	before := r.fake.Hits()
	r.write(e, target, doc(1, "A", "a"))
	r.write(e, target, doc(2, "A", "a"))
	after := r.fake.Hits()
	if after[0]-before[0] != 1 || after[1]-before[1] < 6 {
		t.Errorf("requests from %v to %v: want one to the host that fails", before, after)
	}
	r.fake.Down(0, 0)
	r.clock.add(downFor)
	r.write(e, target, doc(3, "A", "a"))
	if now := r.fake.Hits(); now[0] == after[0] || now[1] != after[1] {
		t.Errorf("five minutes later requests from %v to %v", after, now)
	}
}

// A time-out does not count against a host: what is sent again waits longer.
func TestHosts_TimeoutGoesOnToTheNextWithALongerOne(t *testing.T) {
	r := newRig(t)
	e, target := r.ready(func(o *Options) { o.Timeout = 200 * time.Millisecond })
	r.fake.Down(0, fakealgolia.Hang)
	before := r.fake.Hits()
	r.write(e, target, doc(1, "A", "a"))
	r.fake.Down(0, 0)
	mid := r.fake.Hits()
	r.write(e, target, doc(2, "A", "a"))
	if after := r.fake.Hits(); mid[0] == before[0] || after[1] != mid[1] || after[0] == mid[0] {
		t.Errorf("requests %v, %v, %v: the host must be called again", before, mid, after)
	}
}

func TestOwnHosts_FirstIsTheApplicationsAndTheRestAreShuffled(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		h := ownHosts("APP")
		if h[0] != "https://APP.algolia.net" {
			t.Fatal(h)
		}
		seen[strings.Join(h[1:], " ")] = true
		slices.Sort(h)
		if !slices.Equal(h, []string{"https://APP-1.algolianet.com", "https://APP-2.algolianet.com", "https://APP-3.algolianet.com", "https://APP.algolia.net"}) {
			t.Fatal(h)
		}
	}
	if len(seen) < 3 {
		t.Errorf("always in the order %v", seen)
	}
}

// A deletion is remembered for an hour, and then its record is gone. One that is there again stays.
func TestWrite_RecordsOfDeletedDocumentsGo(t *testing.T) {
	r := newRig(t)
	e, target := r.ready(nil)
	r.write(e, target, doc(1, "A", "a"), doc(1, "B", "b"), doc(1, "C", "c"))
	r.write(e, target, deletion(2, "A"), deletion(2, "B"))
	r.clock.add(59 * time.Minute)
	r.write(e, target, doc(3, "B", "back"), deletion(2, "C"))
	if n := len(r.fake.Records(index)); n != 3 {
		t.Fatalf("%d records before the hour is over", n)
	}
	r.clock.add(2 * time.Minute)
	r.write(e, target, doc(4, "D", "d"))
	if got := slices.Sorted(maps.Keys(r.fake.Records(index))); !slices.Equal(got, []string{"B", "C", "D"}) {
		t.Errorf("records %q: want A gone, C for an hour yet", got)
	}
	if n, err := e.Count(t.Context(), target); n != 2 || err != nil {
		t.Errorf("%d documents, %v", n, err)
	}
}
