package downstream_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/magentoapi"
)

type answers func(*http.Request) (*http.Response, error)

func (f answers) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// magentoapi imports nothing of the project, so it reads Retry-After with code of its own. The two agree, up to the day that
// magentoapi takes at most.
func TestRetryAfter_OfMagentoAPIIsTheSame(t *testing.T) {
	const date = "Mon, 23 Nov 2026 10:00:00 GMT"
	for _, value := range []string{
		"", "soon", "-5", "1.5", "0", "120", " 120 ", "86399", "99999999999", "99999999999999999999999999",
		"Mon, 23 Nov 2026 10:00:10 GMT", "Mon, 23 Nov 2026 09:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT",
	} {
		h := http.Header{"Retry-After": {value}, "Date": {date}}
		client, err := magentoapi.New("https://shop.test", magentoapi.Options{
			Retries: magentoapi.NoRetries, Auth: magentoapi.Bearer(magentoapi.Fixed("t")),
			HTTPClient: &http.Client{Transport: answers(func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 503, Header: h, Body: io.NopCloser(strings.NewReader("{}")), Request: r}, nil
			})},
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Orders.Get(t.Context(), 1)
		var refused *magentoapi.Error
		if !errors.As(err, &refused) {
			t.Fatalf("%q: %v", value, err)
		}
		if want := min(event.RetryAfter(h, time.Now()), 24*time.Hour); refused.RetryAfter != want {
			t.Errorf("%q: magentoapi reads %s, event %s", value, refused.RetryAfter, want)
		}
	}
}
