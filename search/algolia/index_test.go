package algolia

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/search"
	"github.com/mageline/mageline/test/kit/fakealgolia"
)

func errorsAs(err error, target any) bool { return errors.As(err, target) }

func TestEnsure_MakesAnIndexFromItsFields(t *testing.T) {
	r := newRig(t)
	_, target := r.ready(nil)
	s := r.fake.Settings(index)
	for name, want := range map[string]string{
		"searchableAttributes":  `["name","description","sku","variants.sku"]`,
		"attributesForFaceting": `["sku","name","in_stock","variants.sku"]`,
		"attributesToRetrieve":  `["*","-_version","-_deleted"]`,
		"userData":              fmt.Sprintf(`{"mageline":{"generation":%q}}`, target.Generation),
	} {
		if string(s[name]) != want {
			t.Errorf("%s is %s, want %s", name, s[name], want)
		}
	}
	if _, again := r.ready(nil); again != target || target.Name != index || target.Generation == "" {
		t.Errorf("targets %+v and %+v", target, again)
	}
	r.fake.Drop(index)
	if _, other := r.ready(nil); other.Generation == target.Generation {
		t.Error("an index that was deleted and made again has the generation of the first")
	}
}

func TestEnsure_LeavesTheShopsOwnSettings(t *testing.T) {
	r := newRig(t)
	r.fake.Configure(index, map[string]any{
		"searchableAttributes": []string{"unordered(name)", "sku, variants.sku"}, "customRanking": []string{"desc(sales)"}, "userData": map[string]int{"theirs": 1},
	}, "rule")
	before := r.fake.Settings(index)
	_, target := r.ready(nil)
	after := r.fake.Settings(index)
	var data map[string]json.RawMessage
	if err := json.Unmarshal(after["userData"], &data); err != nil || string(data["theirs"]) != "1" || data["mageline"] == nil {
		t.Errorf("userData is %s", after["userData"])
	}
	delete(before, "userData")
	delete(after, "userData")
	if fmt.Sprint(before) != fmt.Sprint(after) || target.Generation == "" {
		t.Errorf("settings were %s and are %s", before, after)
	}
	slices.Sort(r.warns)
	if len(r.warns) != 2 || !strings.Contains(r.warns[0], "attributesForFaceting of index "+index+" lacks sku, name, in_stock, variants.sku") ||
		!strings.Contains(r.warns[1], "searchableAttributes of index "+index+" lacks description:") {
		t.Errorf("warned of %q", r.warns)
	}
}

func TestEnsure_RefusesSettingsThatItCantWorkWith(t *testing.T) {
	for name, settings := range map[string]map[string]any{
		"numericAttributesForFiltering": {"numericAttributesForFiltering": []string{"price"}},
		"userData":                      {"userData": "theirs"},
	} {
		r := newRig(t)
		r.fake.Configure(index, settings, "")
		if _, err := r.engine(nil).Ensure(t.Context(), index, fields); event.ClassOf(err) != event.Rejected || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCount_WithoutDeletedDocuments(t *testing.T) {
	for _, inexact := range []bool{false, true} {
		r := newRig(t)
		r.fake.SetInexact(inexact)
		e, target := r.ready(nil)
		r.write(e, target, many(2500, 10, 1)...)
		r.write(e, target, deletion(2, "SKU 0001"), deletion(2, "SKU 2000"), deletion(2, "never there"))
		if n, err := e.Count(t.Context(), target); n != 2498 || err != nil {
			t.Errorf("inexact %t: %d documents, %v", inexact, n, err)
		}
	}
}

func TestOlder_EveryDocumentBelowTheVersion(t *testing.T) {
	r := newRig(t)
	e, target := r.ready(nil)
	r.write(e, target, many(2100, 10, 5)...)
	r.write(e, target, many(50, 10, 7)...)
	r.write(e, target, deletion(6, "SKU 0100"))
	r.fake.Put(index, "foreign", nil)
	var ids []string
	err := e.Older(t.Context(), target, 7, func(part []string) error {
		if len(part) > 1000 {
			t.Errorf("%d ids at once", len(part))
		}
		ids = append(ids, part...)
		return nil
	})
	if err != nil || len(ids) != 2050 || slices.Contains(ids, "SKU 0100") || slices.Contains(ids, "SKU 0049") || !slices.Contains(ids, "foreign") {
		t.Errorf("%d ids, %v", len(ids), err)
	}
	stop := errors.New("stop")
	if err := e.Older(t.Context(), target, 7, func([]string) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
}

func TestSwap_NewIndexTakesThePlaceWithTheShopsSettings(t *testing.T) {
	r := newRig(t)
	r.fake.SetDelay(3 * time.Millisecond)
	r.fake.Configure(index, map[string]any{"customRanking": []string{"desc(a)"}, "userData": map[string]int{"theirs": 1}}, "rule 1")
	e, old := r.ready(nil)
	r.write(e, old, doc(1, "A", "old"), doc(1, "gone", "old"))
	next, err := e.Create(t.Context(), index, fields)
	if err != nil || !strings.HasPrefix(next.Name, index+"_tmp_") || next.Generation == old.Generation {
		t.Fatal(next, err)
	}
	r.write(e, next, doc(2, "A", "new"), doc(2, "B", "new"))
	r.fake.Configure(index, map[string]any{"customRanking": []string{"desc(b)"}}, "rule 2") // meanwhile
	if n, err := e.Count(t.Context(), next); n != 2 || err != nil {
		t.Errorf("%d documents, %v", n, err)
	}
	before, err := e.Swap(t.Context(), next)
	if err != nil || before != (search.Target{Index: index, Generation: old.Generation}) {
		t.Fatal(before, err)
	}
	if got := r.names(index); !maps.Equal(got, map[string]string{"A": "new", "B": "new"}) {
		t.Errorf("the index has %v", got)
	}
	s := r.fake.Settings(index)
	rules, synonyms := r.fake.Rules(index)
	if string(s["customRanking"]) != `["desc(b)"]` || !strings.Contains(string(s["userData"]), `"theirs":1`) || rules != 2 || synonyms != 2 {
		t.Errorf("settings %s, %d rules, %d synonyms", s, rules, synonyms)
	}
	if got := r.fake.Indexes(); !slices.Equal(got, []string{index}) {
		t.Errorf("indexes %q", got)
	}
	// A second one, by a process that does not know of the first.
	if _, err := r.engine(nil).Swap(t.Context(), next); err != nil {
		t.Error(err)
	}
	if _, now := r.ready(nil); now != next || len(r.names(index)) != 2 {
		t.Errorf("the target is %+v with %v, want %+v", now, r.names(index), next)
	}
	if n, err := r.engine(nil).Count(t.Context(), next); n != 2 || err != nil {
		t.Errorf("%d documents, %v", n, err)
	}
	// Nothing is left of the one before, and the one that is searched stays.
	if err := e.Remove(t.Context(), old); err != nil {
		t.Error(err)
	}
	if err := e.Remove(t.Context(), next); err == nil || len(r.names(index)) != 2 {
		t.Errorf("%v; the index has %v", err, r.names(index))
	}
}

func TestSwap_FirstIndex(t *testing.T) {
	r := newRig(t)
	e := r.engine(nil)
	next, err := e.Create(t.Context(), index, fields)
	if err != nil {
		t.Fatal(err)
	}
	r.write(e, next, doc(2, "A", "new"))
	if _, err := e.Swap(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	if s := r.fake.Settings(index); len(r.names(index)) != 1 || s["searchableAttributes"] == nil {
		t.Errorf("%v, settings %s", r.names(index), s)
	}
}

// An index that is not there any more must not be moved or copied: that would empty the one that is searched.
func TestSwap_OfAnIndexThatIsGoneChangesNothing(t *testing.T) {
	for name, after := range map[string]func(r *rig, next search.Target){
		"gone":                    func(*rig, search.Target) {},
		"made by a late write":    func(r *rig, next search.Target) { r.fake.Put(next.Name, "Z", map[string]any{"name": "z"}) },
		"the searched one, again": nil,
	} {
		r := newRig(t)
		e, old := r.ready(nil)
		r.write(e, old, doc(1, "A", "old"))
		next, err := e.Create(t.Context(), index, fields)
		if err != nil {
			t.Fatal(err)
		}
		if after == nil {
			if _, err := e.Swap(t.Context(), old); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		} else {
			r.fake.Drop(next.Name)
			after(r, next)
			if _, err := e.Swap(t.Context(), next); event.ClassOf(err) != event.NotFound {
				t.Errorf("%s: %v", name, err)
			}
		}
		if got := r.names(index); !maps.Equal(got, map[string]string{"A": "old"}) {
			t.Errorf("%s: the index has %v", name, got)
		}
	}
}

// Interrupted at each request, and begun again by another process: the new index is there in the end, whole.
func TestSwap_InterruptedAtEachRequestAndRepeated(t *testing.T) {
	for n := int32(1); ; n++ {
		r := newRig(t)
		e, old := r.ready(nil)
		r.write(e, old, doc(1, "A", "old"))
		next, err := e.Create(t.Context(), index, fields)
		if err != nil {
			t.Fatal(err)
		}
		r.write(e, next, doc(2, "A", "new"))
		ctx, cancel := context.WithCancel(t.Context())
		var sent atomic.Int32
		broken := r.engine(nil)
		transport := broken.http.Transport
		broken.http.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
			res, err := transport.RoundTrip(req) // it arrives
			if sent.Add(1) == n {
				cancel()
			}
			return res, err
		})
		_, err = broken.Swap(ctx, next)
		cancel()
		if err == nil {
			if n < 6 {
				t.Errorf("only %d requests", n)
			}
			return
		}
		if _, err := r.engine(nil).Swap(t.Context(), next); err != nil {
			t.Fatalf("after request %d: %v", n, err)
		}
		if got := r.names(index); !maps.Equal(got, map[string]string{"A": "new"}) {
			t.Fatalf("after request %d the index has %v", n, got)
		}
	}
}

// What is written to the new index when it has been moved already arrives in the one that is searched.
func TestWrite_ToAnIndexThatWasMovedArrives(t *testing.T) {
	r := newRig(t)
	e, _ := r.ready(nil)
	next, err := e.Create(t.Context(), index, fields)
	if err != nil {
		t.Fatal(err)
	}
	other, _ := r.ready(nil)
	r.write(e, next, doc(2, "A", "new"))
	if _, err := e.Swap(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	r.write(other, next, doc(3, "A", "late"), doc(1, "B", "late"))
	before := r.fake.Calls("GET settings")
	r.write(other, next, doc(3, "A", "late"))
	if n := r.fake.Calls("GET settings"); n != before {
		t.Errorf("where it is was asked %d times more", n-before)
	}
	if got := r.names(index); !maps.Equal(got, map[string]string{"A": "late", "B": "late"}) {
		t.Errorf("the index has %v", got)
	}
	// It was there for a moment, as a write after the move makes it.
	r.fake.Put(next.Name, "X", map[string]any{"name": "x"})
	if moved, err := other.wasMoved(t.Context(), next); !moved || err != nil {
		t.Errorf("moved %t, %v", moved, err)
	}
	r.write(other, next, doc(4, "A", "later"))
	if got := r.names(index)["A"]; got != "later" {
		t.Errorf("the index has %q", got)
	}
	if got := r.fake.Indexes(); !slices.Equal(got, []string{index}) {
		t.Errorf("indexes %q", got)
	}
}

func TestWrite_WhileTheIndexIsSwappedLosesNothing(t *testing.T) {
	r := newRig(t)
	r.fake.SetDelay(time.Millisecond)
	e, old := r.ready(nil)
	r.write(e, old, doc(1, "A", "1"))
	next, err := e.Create(t.Context(), index, fields)
	if err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan int64)
	writer, _ := r.ready(nil)
	go func() {
		v := int64(2)
		for ; ; v++ {
			select {
			case <-stop:
				done <- v - 1
				return
			default:
			}
			for _, target := range []search.Target{next, old} { // the new one first
				if res, err := writer.Write(context.WithoutCancel(t.Context()), target, []search.Write{doc(v, "A", fmt.Sprint(v))}); err != nil || res[0].Err != nil {
					t.Error(res, err)
				}
			}
		}
	}()
	time.Sleep(20 * time.Millisecond) // writes before, during and after
	_, err = e.Swap(t.Context(), next)
	time.Sleep(20 * time.Millisecond)
	close(stop)
	last := <-done
	if err != nil || r.names(index)["A"] != fmt.Sprint(last) {
		t.Errorf("the index has %v, want %d; %v", r.names(index), last, err)
	}
}

func TestWrite_ToAnIndexThatWasRemovedIsAnError(t *testing.T) {
	r := newRig(t)
	e, _ := r.ready(nil)
	next, err := e.Create(t.Context(), index, fields)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := e.Remove(t.Context(), next); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Write(t.Context(), next, many(3, 10, 1)); event.ClassOf(err) != event.NotFound || !errors.Is(err, search.ErrNoTarget) {
		t.Error(err)
	}
	if got := r.fake.Indexes(); !slices.Equal(got, []string{index}) {
		t.Errorf("indexes %q", got)
	}
	r.fake.Drop(index)
	target := search.Target{Index: index, Name: index}
	_, write := e.Write(t.Context(), target, many(3, 10, 1))
	_, count := e.Count(t.Context(), target)
	for _, err := range []error{write, count, e.Older(t.Context(), target, 1, func([]string) error { return nil })} {
		if !errors.Is(err, search.ErrNoTarget) {
			t.Error(err)
		}
	}
}

// A key that is allowed for the index and those named like it is enough, with the rights that are named.
func TestRights_AreEnough(t *testing.T) {
	r := newRig(t)
	r.fake.AddKey("own", append([]string{"deleteObject"}, Rights...)[1:], index, index+"_tmp_*")
	e, target := r.ready(func(o *Options) { o.Key = theKey("own") })
	r.write(e, target, doc(1, "A", "a"))
	r.write(e, target, deletion(2, "A"))
	next, err := e.Create(t.Context(), index, fields)
	if err != nil {
		t.Fatal(err)
	}
	r.write(e, next, doc(3, "A", "a"))
	if _, err := e.Swap(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	_, count := e.Count(t.Context(), target)
	if err := errors.Join(count, e.Older(t.Context(), target, 9, func([]string) error { return nil })); err != nil {
		t.Error(err)
	}
	r.nothingRefused()
	if len(r.warns) != 0 {
		t.Errorf("warned %q", r.warns)
	}
}

func TestAwait_EndsWithTheContext(t *testing.T) {
	r := newRig(t)
	e, target := r.ready(nil)
	release := r.fake.HoldTasks(index)
	defer release()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := e.Write(ctx, target, many(1, 1, 1)); event.ClassOf(err) != event.Timeout {
		t.Error(err)
	}
}

func TestNew_RefusesWhatCantBe(t *testing.T) {
	for name, o := range map[string]Options{
		"no application": {Key: theKey("k")}, "no key": {ApplicationID: "a"}, "no address": {ApplicationID: "a", Key: theKey("k"), Hosts: []string{"algolia.net"}},
		"limit": {ApplicationID: "a", Key: theKey("k"), RecordLimit: 10},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if e, err := New(Options{ApplicationID: "APP", Key: theKey("k")}); err != nil || len(e.hosts.all) != fakealgolia.Hosts {
		t.Error(err)
	}
}

func TestEngine_UsesARenewedKeyAtOnce(t *testing.T) {
	r := newRig(t)
	key := "old"
	e := r.engine(func(o *Options) { o.Key = func() string { return key } })
	if _, err := e.Inspect(t.Context(), index, fields); event.ClassOf(err) != event.Unauthorized {
		t.Errorf("with the old key: %v", err)
	}
	key = fakealgolia.Key
	if _, err := e.Inspect(t.Context(), index, fields); err != nil {
		t.Errorf("with the new key: %v", err)
	}
}

func TestInspect_TellsWhatTheKeyMayNotDo(t *testing.T) {
	r := newRig(t)
	r.fake.AddKey("blind", []string{"settings", "addObject"})
	for key, want := range map[string]string{fakealgolia.Key: "[]", "blind": "[browse search]"} {
		e := r.engine(func(o *Options) { o.Key = theKey(key) })
		found, err := e.Inspect(t.Context(), index, fields)
		if err != nil || found.Target.Name != "" || found.Server != "Algolia" {
			t.Errorf("before it is there: %+v, %v", found, err)
		}
		_, target := r.ready(nil)
		found, err = e.Inspect(t.Context(), index, fields)
		if err != nil || found.Target != target || fmt.Sprint(found.Lacking) != want {
			t.Errorf("%+v, %v; want %+v, lacking %s", found, err, target, want)
		}
		r.fake.Drop(index)
	}
	if _, err := r.engine(func(o *Options) { o.Key = theKey("wrong") }).Inspect(t.Context(), index, fields); event.ClassOf(err) != event.Unauthorized {
		t.Error(err)
	}
}
