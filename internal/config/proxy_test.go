package config_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/mageline/mageline/internal/app"
	"github.com/mageline/mageline/internal/config"
)

// The address of a proxy that can't be read is told, without its password: net/http would go without the proxy.
func TestLoad_RefusesUnreadableProxies(t *testing.T) {
	const secret = "hunter2"
	for value, right := range map[string]bool{
		"":                                        true,
		"proxy.internal:3128":                     true,
		"http://u:" + secret + "@proxy.internal":  true,
		"socks5://proxy.internal:1080":            true,
		"http://u:" + secret + "%zz@proxy:3128":   false,
		"u:" + secret + " @proxy:3128":            false,
		"ftp://u:" + secret + "@proxy.internal:1": false,
		"http://":                                 false,
	} {
		for _, name := range []string{"HTTPS_PROXY", "http_proxy"} {
			t.Run(name+" "+value, func(t *testing.T) {
				environment(t, complete())
				t.Setenv(name, value)
				_, err := app.Load(config.EnabledConsumers)
				var e *config.Error
				switch {
				case right && err != nil:
					t.Error(err)
				case !right && (!errors.As(err, &e) || len(e.Problems) != 1 || e.Problems[0].Variable != name || strings.Contains(err.Error(), secret)):
					t.Errorf("told %v", err)
				}
			})
		}
	}
}
