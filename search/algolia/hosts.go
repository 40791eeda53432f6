package algolia

import (
	"math/rand/v2"
	"net/url"
	"sync"
	"time"
)

// downFor is how long a host that failed is not called, while there are others.
const downFor = 5 * time.Minute

// ownHosts returns Algolia's hosts for writes. The last three are with another provider of DNS, and share the load by chance.
func ownHosts(application string) []string {
	application = url.PathEscape(application)
	all := []string{
		"https://" + application + ".algolia.net",
		"https://" + application + "-1.algolianet.com", "https://" + application + "-2.algolianet.com", "https://" + application + "-3.algolianet.com",
	}
	fallback := all[1:]
	rand.Shuffle(len(fallback), func(i, j int) { fallback[i], fallback[j] = fallback[j], fallback[i] })
	return all
}

type host struct {
	base string
	down time.Time // since when; zero: it is up
}

type hosts struct {
	mu  sync.Mutex
	all []host
}

// upNow returns the hosts that a request tries, in their order. If all are down, all are tried.
func (h *hosts) upNow(now time.Time) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var up []string
	for _, one := range h.all {
		if one.down.IsZero() || now.Sub(one.down) >= downFor {
			up = append(up, one.base)
		}
	}
	if len(up) > 0 {
		return up
	}
	for i := range h.all {
		h.all[i].down = time.Time{}
		up = append(up, h.all[i].base)
	}
	return up
}

// set notes how a host answered: at once for the next request.
func (h *hosts) set(base string, down time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.all {
		if h.all[i].base == base {
			h.all[i].down = down
		}
	}
}
