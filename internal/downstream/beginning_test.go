package downstream

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
)

// A true, which Magento answers to most writes, cost a buffer of 64 KiB.
func TestBegin_LooksAtJSONWithoutALargeBuffer(t *testing.T) {
	for _, body := range []string{`true`, `false`, `null`, `{"a":1}`, `[]`, `"x"`, `12`} {
		resp := &http.Response{Body: io.NopCloser(strings.NewReader(body)), ContentLength: -1}
		if found := (&call{}).begin(resp); found.skip != 0 || found.page {
			t.Errorf("%s: %+v", body, found)
		}
		if b, ok := resp.Body.(reader).Reader.(*bufio.Reader); !ok || b.Size() > 1024 {
			t.Errorf("%s is read through %T of %d bytes", body, resp.Body.(reader).Reader, b.Size())
		}
		if got, err := io.ReadAll(resp.Body); string(got) != body || err != nil {
			t.Errorf("%s: got %q, %v", body, got, err)
		}
	}
}
