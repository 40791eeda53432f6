package config

import (
	"net/url"
	"os"
	"slices"
	"strings"
)

// checkProxies refuses a proxy's address that can't be read. net/http would say nothing and go without the proxy
// (golang.org/x/net/http/httpproxy, config.init).
func (l *loader) checkProxies() {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
		if value := os.Getenv(name); value != "" && !isProxy(value) {
			l.problems = append(l.problems, Problem{
				Variable: name, Value: "***", Set: true,
				Want: "must be http://user:password@host:port, https:// or socks5://, special characters percent-encoded",
			})
		}
	}
}

func isProxy(value string) bool {
	if !strings.Contains(value, "://") {
		value = "http://" + value
	}
	u, err := url.Parse(value)
	return err == nil && u.Hostname() != "" && slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme)
}
