package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
)

// calls are what mageline asks of Magento for a tracking number of an order that has no shipment yet.
const calls = 3

// slowShop is a simulated Magento that takes its time, with so many orders.
func slowShop(t *testing.T, orders int) *shop {
	t.Helper()
	s := &shop{magento: fakemagento.New(fakemagento.Options{Token: token})}
	for range orders {
		s.placed = append(s.placed, s.magento.PlaceOrder(fakemagento.Placing{}))
	}
	s.magento.Faults.Set(fault.Plan{Latency: size.latency})
	server := httptest.NewServer(s.magento)
	t.Cleanup(func() { s.magento.Close(); server.CloseClientConnections(); server.Close() })
	s.magentoURL = server.URL
	return s
}

// track is a message with a number for the next of the shop's orders.
func (s *shop) track() []byte {
	n := int(s.turn.Add(1)) - 1
	head := fmt.Sprintf(`{"order_number":%q,"tracking_number":"T%d","padding":"`, s.placed[n].IncrementID, n)
	return []byte(head + strings.Repeat("x", bodySize-len(head)-2) + `"}`)
}

// tracks compares the real program, which brings tracking numbers to Magento, with the same calls and nothing else, as
// many at once.
func tracks(t *testing.T, out *table) {
	for _, con := range []int{5, 16} {
		pre := 4 * con
		l, s := newLineOf(t, "tracking_received", "shipping.tracking.received"), slowShop(t, size.tracks)
		l.fill(size.tracks, s.track)
		p := l.mageline(s, pre, con)
		before, first := p.await(1, time.Millisecond)
		_, _ = p.await(size.tracks, 5*time.Millisecond)
		ours := max(1, float64(size.tracks-before)) / time.Since(first).Seconds()
		p.stop()
		made := 0
		for _, n := range s.magento.Requests() {
			made += n
		}
		if made != calls*size.tracks || len(s.magento.TrackCounts()) != size.tracks {
			t.Errorf("%d calls for %d tracks of %d numbers, want %d each", made, len(s.magento.TrackCounts()), size.tracks, calls)
		}
		out.rates(fmt.Sprintf("tracking_received, a Magento that takes %s; limit: the bare HTTP calls", size.latency),
			[]float64{ours}, []float64{bareCalls(t, con)}, "0.9", fmt.Sprintf("PREFETCH %d, CONCURRENCY %d", pre, con))
	}
}

// bareCalls gives tracks a second of a client that only calls.
func bareCalls(t *testing.T, goroutines int) float64 {
	t.Helper()
	s := slowShop(t, size.tracks)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: goroutines}}
	defer client.CloseIdleConnections()
	var next atomic.Int64
	errs := make(chan error, goroutines)
	began := time.Now()
	for range goroutines {
		go func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= len(s.placed) {
					errs <- nil
					return
				}
				if err := bareTrack(t.Context(), client, s, n); err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	for range goroutines {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	return float64(size.tracks) / time.Since(began).Seconds()
}

func bareTrack(ctx context.Context, client *http.Client, s *shop, n int) error {
	search := func(path, field, value string) (string, error) {
		query, err := magentoapi.SearchCriteria{}.Where(magentoapi.Eq(field, value)).SortBy("entity_id", magentoapi.Ascending).Values()
		return path + "?" + query.Encode(), err
	}
	order, err := search("/V1/orders", "increment_id", s.placed[n].IncrementID)
	if err != nil {
		return err
	}
	id := strconv.Itoa(s.placed[n].EntityID)
	shipments, err := search("/V1/shipments", "order_id", id)
	if err != nil {
		return err
	}
	for _, call := range []struct{ method, path, body string }{
		{http.MethodGet, order, ""},
		{http.MethodGet, shipments, ""},
		{http.MethodPost, "/V1/order/" + url.PathEscape(id) + "/ship", fmt.Sprintf(`{"notify":false,"appendComment":false,"tracks":[{"track_number":"T%d","title":"custom","carrier_code":"custom"}]}`, n)},
	} {
		req, err := http.NewRequestWithContext(ctx, call.method, s.magentoURL+"/rest/all"+call.path, strings.NewReader(call.body))
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		answer, err := client.Do(req)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		if err == nil && answer.StatusCode != http.StatusOK {
			err = fmt.Errorf("the shop answers %s to %s %s", answer.Status, call.method, call.path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
