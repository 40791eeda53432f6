package downstream

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mageline/mageline/event"
)

// Recent is what the calls of the last 5 minutes have come to.
type Recent struct {
	Calls    int
	Failures int // time-outs among them
	Timeouts int
	// Codes counts the calls by their status, or by the class of the error where there was none. Those that were answered with
	// a success that can't be read are Unreadable.
	Codes map[string]int
}

// Unreadable is the code of a success that can't be read.
const Unreadable = "unreadable"

const (
	recentBucket  = 10 * time.Second
	recentBuckets = 31 // 5 minutes, and the one that is under way
)

// recent counts the calls of the last 5 minutes, by tens of seconds.
type recent struct {
	mu      sync.Mutex
	buckets [recentBuckets]recentCodes
}

type recentCodes struct {
	number     int64 // of the ten seconds since 1970
	codes      map[string]int
	unreadable int // of the successes among them
}

func (r *recent) add(code string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bucket(now).codes[code]++
}

// unreadable says of a success that was added that it is none.
func (r *recent) unreadable(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bucket(now).unreadable++
}

// bucket is called with mu held.
func (r *recent) bucket(now time.Time) *recentCodes {
	number := now.UnixNano() / int64(recentBucket)
	b := &r.buckets[number%recentBuckets]
	if b.number != number {
		*b = recentCodes{number: number, codes: map[string]int{}}
	}
	return b
}

func (r *recent) sum(now time.Time) Recent {
	sum := Recent{Codes: map[string]int{}}
	number := now.UnixNano() / int64(recentBucket)
	r.mu.Lock()
	defer r.mu.Unlock()
	unreadable := 0
	for _, b := range r.buckets {
		if b.number > number-recentBuckets && b.number <= number {
			for code, n := range b.codes {
				sum.Codes[code] += n
			}
			unreadable += b.unreadable
		}
	}
	for _, code := range slices.Sorted(maps.Keys(sum.Codes)) {
		if n := min(unreadable, sum.Codes[code]); n > 0 && strings.HasPrefix(code, "2") {
			unreadable -= n
			sum.Codes[Unreadable] += n
			if sum.Codes[code] -= n; sum.Codes[code] == 0 {
				delete(sum.Codes, code)
			}
		}
	}
	for code, n := range sum.Codes {
		sum.Calls += n
		if isFailure(code) {
			sum.Failures += n
		}
		if code == string(event.Timeout) {
			sum.Timeouts += n
		}
	}
	return sum
}

// isFailure reports whether a code is about the downstream and not about what it was asked: no answer, a 5xx, a redirect, a
// credential that is refused, a request to be called later. A 404 or 422 is an answer.
func isFailure(code string) bool {
	status, err := strconv.Atoi(code)
	switch {
	case err != nil, status >= 500, status >= 300 && status < 400:
		return true
	default:
		return status == 401 || status == 403 || status == 408 || status == 429
	}
}

// Recent returns what the calls of the last 5 minutes have come to.
func (d *Downstream) Recent() Recent { return d.recent.sum(time.Now()) }
