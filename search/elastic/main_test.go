package elastic_test

import (
	"net/http"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/mageline/mageline/test/kit/private"
)

// node is the real OpenSearch of this run: the first test that needs one starts it.
var node struct {
	sync.Once
	*private.OpenSearch
	err error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if node.OpenSearch != nil {
		node.Close()
	}
	http.DefaultClient.CloseIdleConnections()
	if err := goleak.Find(); err != nil && code == 0 {
		println(err.Error())
		code = 1
	}
	os.Exit(code)
}

// realURL is that of a real engine: the one that MAGELINE_TEST_SEARCH_URL names, of whatever version, or an OpenSearch of our own. A
// test without one is left out; in CI it fails.
func realURL(t *testing.T) string {
	t.Helper()
	if url := os.Getenv("MAGELINE_TEST_SEARCH_URL"); url != "" {
		return url
	}
	if testing.Short() {
		t.Skip("a real OpenSearch is left out")
	}
	node.Do(func() { node.OpenSearch, node.err = private.StartOpenSearch() })
	switch {
	case node.err == nil:
		return node.URL
	case os.Getenv("CI") != "" || node.OpenSearch != nil: // it is there, and does not start
		t.Fatal(node.err)
	default:
		t.Skip(node.err)
	}
	return ""
}
