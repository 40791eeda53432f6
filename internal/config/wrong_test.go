package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mageline/mageline/internal/app"
	"github.com/mageline/mageline/internal/config"
)

// problems loads the configuration, and gives what is wrong by the name of the variable without prefix.
func problems(t *testing.T) map[string]config.Problem {
	t.Helper()
	_, err := app.Load(config.EnabledConsumers)
	all := map[string]config.Problem{}
	var e *config.Error
	if err != nil && !errors.As(err, &e) {
		t.Fatal(err)
	}
	if e != nil {
		for _, p := range e.Problems {
			all[strings.TrimPrefix(p.Variable, "MAGELINE_")] = p
		}
	}
	return all
}

// wantOnly fails unless that variable alone is wrong, with these words.
func wantOnly(t *testing.T, name, says string) {
	t.Helper()
	all := problems(t)
	p, ok := all[name]
	if !ok || len(all) != 1 || !strings.Contains(p.Want, says) {
		t.Errorf("want %s alone, with %q; got %v", name, says, all)
	}
}

// What an env-file, an editor or a shell puts around a value is told for every variable there is, in its name.
func TestLoad_RefusesWhatSurroundsAValue(t *testing.T) {
	right := complete(
		"AMQP_URL", "amqp://broker/", "AMQP_MANAGEMENT_URL", "http://u:p@broker:15672", "DATABASE_URL", "postgres://db/x", "TRACKING_SOURCE_CODE", "default",
		"ERP_TOKEN", "s3cret", "ERP_SECRET", "s3cret", "TRACKING_DIR", "/srv/in", "ORDER_EXPORT_FROM", "2026-11-23T00:00:00Z", "ERP_NAME", "ACME",
		"BINDINGS", "order_placed:a", "ORDER_STATUS_EXPORTED", "exported", "TRACKING_COLUMNS", "sku=SKU", "TRACKING_CARRIERS", "DHL=dhl",
		"MAGENTO_USERNAME", "admin", "MAGENTO_PASSWORD", "s3cret", "ERP_REFERENCE_PREFIX", "DE-", "SAP_CLIENT", "100",
	)
	for _, v := range config.Table() {
		name := strings.TrimPrefix(v.Name, "MAGELINE_")
		value := right[name]
		if value == "" {
			value = v.Default
		}
		if value == "" {
			value = "s3cret"
		}
		wrong := map[string]string{
			`"` + value + `"`: "quotes", "'" + value + "'": "quotes", `""`: "quotes", "\ufeff" + value: "byte order mark",
		}
		if text := v.Type == "text" || v.Secret; text {
			for _, blank := range []string{" ", "\u200b"} {
				wrong[blank+value], wrong[value+blank] = "blank in front", "blank at its end"
			}
			for _, end := range []string{"\n", "\r"} {
				wrong[end+value], wrong[value+end] = "line break in front", "line break at its end"
			}
			wrong[" \n "] = "more than blanks"
		}
		for given, says := range wrong {
			environment(t, complete(name, given))
			all := problems(t)
			if p := all[name]; !strings.Contains(p.Want, says) {
				t.Errorf("%s=%q: want %q, got %v", name, given, says, all)
			} else if v.Secret != (p.Value == "***") {
				t.Errorf("%s=%q is shown as %q", name, given, p.Value)
			}
			if !v.Secret {
				continue
			}
			if strings.HasSuffix(given, "\n") { // the last newline of a file is the editor's
				given += "\n"
			}
			environment(t, complete(name, "", name+"_FILE", file(t, given)))
			if p := problems(t)[name]; !strings.Contains(p.Want, says) || !strings.Contains(p.Want, name+"_FILE") || p.Value != "***" {
				t.Errorf("%s_FILE with %q: want %q, got %v", name, given, says, p)
			}
		}
	}
}

func TestLoad_RefusesUnusableSecretFiles(t *testing.T) {
	const name = "ERP_TOKEN"
	path := file(t, "s3cret")
	for given, says := range map[string]string{
		"/there/is/none": "/there/is/none", filepath.Dir(path): filepath.Dir(path), `"` + path + `"`: "quotes", path + " ": "blank at its end",
		file(t, ""): "empty", file(t, "\n"): "empty", file(t, "\r\n"): "empty", file(t, strings.Repeat("x", 70_000)): "more than",
		file(t, "\xff\xfes\x003\x00"): "UTF-16", file(t, "two words"): "one word", file(t, "two\nlines"): "one word", file(t, "nul\x00l"): "one word",
	} {
		environment(t, complete(name+"_FILE", given))
		wantOnly(t, name, says)
	}
}

// Values that some library takes, and that are not right.
func TestLoad_RefusesWrongValues(t *testing.T) {
	folder := t.TempDir()
	noPEM := filepath.Join(folder, "none.pem")
	if err := os.WriteFile(noPEM, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		values []string
		says   string
		more   []string // variables besides
	}{
		{"AMQP_URL", []string{"amqp://broker/?heartbeat=abc", "amqp://broker/?heartbeat=", "amqp://a/?heartbeat=5,amqp://b/?heartbeat=5s"}, "heartbeat", nil},
		{"AMQP_URL", []string{"amqp://bro ker/", "amqp://broker/a b", "amqp://a/ ,amqp://b/"}, "blank", nil},
		{"AMQP_URL", []string{"amqp://\"broker\"/", "amqp://bro;ker/", "amqp://a/,amqp://'b'/"}, "name or address of a host", nil},
		{"AMQP_URL", []string{"amqp:///", "amqp://", "amqp://u:p@/", "amqp://:5672/"}, "no host", nil},
		{"AMQP_URL", []string{"amqp://broker:0/", "amqp://broker:70000/"}, "65535", nil},
		{"AMQP_URL", []string{"broker", "broker:5672", "http://broker", "amqp:broker", "AMQP-broker", "amqp://u:p/w@broker/", "amqp://broker:x/"}, "amqp://", nil},
		{"AMQP_URL", []string{"amqp://a/,"}, "last comma", nil},
		{"AMQP_URL", []string{"amqp://a,b/"}, "several", nil},
		{"AMQP_URL", []string{"amqp://u:p@a/,amqp://b/"}, "of the first", nil},
		{"AMQP_CA_FILE", []string{noPEM, folder, "/there/is/none"}, "PEM", []string{"AMQP_URL", "amqp://a/,amqps://b/"}},
		{"AMQP_CERT_FILE", []string{noPEM}, "PEM", []string{"AMQP_URL", "amqps://b/", "AMQP_KEY_FILE", noPEM}},
		{"AMQP_MANAGEMENT_URL", []string{"broker:15672", "amqp://broker", "//broker"}, "http://", nil},
		{"AMQP_MANAGEMENT_URL", []string{"http://broker:15672/#/queues"}, "fragment", nil},
		{"AMQP_MANAGEMENT_URL", []string{"http://broker:15672/api", "http://broker:15672/api/", "https://broker/x/api"}, "/api", nil},
		{"AMQP_MANAGEMENT_URL", []string{"http://bro ker"}, "blank", nil},
		{"AMQP_MANAGEMENT_URL", []string{"http://broker:99999"}, "port", nil},
		{"DATABASE_URL", []string{"db", "db:5432/x", "http://db/x", "jdbc:postgresql://db/x", "postgres://db:x/x", "postgres://db:70000/x", "postgres://db:0/x"}, "postgres://", nil},
		{"DATABASE_URL", []string{"postgres://\"db\"/x", "postgres://my%20db/x", "host='my db' dbname=x", "postgres://a,b;c/x"}, "name or address of a host", nil},
		{"DATABASE_URL", []string{"postgres://db/x?sslmode=full", "postgres://db/x?pool_max_conns=many", "postgres://db/x?connect_timeout=5s", "postgres://db/x?default_query_exec_mode=none"}, "postgres://", nil},
		{"DATABASE_URL", []string{"postgres://db/x?sslrootcert=/there/is/none"}, "/there/is/none", nil},
		{"DATABASE_URL", []string{"postgres://pool/x?default_transaction_isolation=serializable"}, "ALTER ROLE", []string{"MIGRATE_DATABASE_URL", "postgres://db/x"}},
		{"MIGRATE_DATABASE_URL", []string{"db:5432/x", "mysql://db"}, "postgres://", nil},
		{"MAGENTO_URL", []string{"shop.example.com", "//shop.example.com", "https:/shop.example.com", "ftp://shop.example.com", "shop.example.com:443"}, "http", nil},
		{"MAGENTO_URL", []string{"https://", "https:///rest", "https://:443/"}, "no host", nil},
		{"MAGENTO_URL", []string{"https://shop example.com", "https://shop.example.com/a b", "https://shop.example.com, https://b"}, "blank", nil},
		{"MAGENTO_URL", []string{"https://shop.example.com,b.example.com", `https://shop"`, "https://shop..example"}, "name or address of a host", nil},
		{"MAGENTO_URL", []string{"https://shop.example.com:x", "https://shop.example.com:-1"}, "can't be read", nil},
		{"MAGENTO_URL", []string{"https://shop.example.com:0", "https://shop.example.com:65536"}, "port", nil},
		{"MAGENTO_URL", []string{"https://2001:db8::1/"}, "", nil},
		{"MAGENTO_URL", []string{"https://user@shop.example.com", "https://u:p@shop.example.com"}, "user", nil},
		{"MAGENTO_URL", []string{"https://shop.example.com/?", "https://shop.example.com/index.php?x=1"}, "query", nil},
		{"MAGENTO_URL", []string{"https://shop.example.com/#top", "https://shop.example.com/#"}, "fragment", nil},
		{"MAGENTO_URL", []string{
			"https://shop.example.com/V1", "https://shop.example.com/v1/", "https://shop.example.com/rest/V1", "https://shop.example.com/rest/V1/orders",
			"https://shop.example.com/rest/default", "https://shop.example.com/rest/all/V1/", "https://shop.example.com/rest/all/async/bulk/V1",
			"https://shop.example.com/index.php/rest/V1", "https://shop.example.com/sub/REST/V1", "https://shop.example.com/graphql", "https://shop.example.com/soap/default",
		}, "with or without /rest", nil},
		{"MAGENTO_STORE_CODE", []string{"1de", "1", "de-at", "de at", "ä", "de/at", "_de"}, "a letter first", nil},
		{"MAGENTO_TOKEN", []string{"Bearer t0ken", "bearer t0ken"}, "without Bearer", nil},
		{"MAGENTO_TOKEN", []string{"two words", "two\nlines", "a\tb", "a\ufeffb"}, "one word", nil},
		{"ERP_TOKEN", []string{"Bearer t0ken"}, "without Bearer", nil},
		{"ERP_URL", []string{"erp", "erp:8080", "ftp://erp", "http//erp"}, "http://", nil},
		{"ERP_URL", []string{"http://erp:0", "http://erp:100000"}, "port", nil},
		{"ERP_URL", []string{"http://u:p@erp"}, "user", nil},
		{"ERP_URL", []string{"http://erp/?a=b"}, "query", nil},
		{"ERP_NAME", []string{"AC\nME", "AC\x1bME", "\xff\xfe"}, "", nil},
		{"PREFETCH", []string{"010", "0x10", "1_000", "+5", "5.0", "1e2", "٣", "", " 5", "9999999999999999999"}, "whole number", nil},
		{"HANDLER_TIMEOUT", []string{"60", "1d", "1m 30s", "-1s", "0", "forever", ""}, "duration", nil},
		{"RETRY_DELAYS", []string{"5", "5s;30s", "5s 30s", ",5s", "5s,", "-5s", "0", "5s,abc"}, "duration", nil},
		{"MEMORY_LIMIT", []string{"256", "256Mi", "1.5GiB", "256 MiB x", "-256MiB"}, "memory", nil},
		{"CONSUMERS", []string{"order-placed", "order_placed;order_canceled", "order_placed,", "ALL", "none"}, "", nil},
		{"BINDINGS", []string{"order_placed=a", "order_placed:a;order_canceled:b", "order_placed:a b", "a.b:order_placed", ","}, "consumer:topic", nil},
		{"ORDER_EXPORT_FROM", []string{"2026-11-01 00:00:00", "01.11.2026", "2026-11-01T00:00:00", "1764547200", "now"}, "RFC 3339", nil},
		{"ORDER_EXPORT_STORES", []string{"default", "1;2", "-1", "1.5", "all,1", ""}, "store ids", nil},
		{"ORDER_EXPORT_STATES", []string{"processing;complete", "Processing", "new:", "closed"}, "state", nil},
		{"MAGENTO_TIMEZONE", []string{"CET+1", "europe/berlin2", "+01:00", "Local", ""}, "time zone", nil},
		{"MAGENTO_RATE_LIMIT", []string{"ten", "-1", "Inf", "NaN", ""}, "", nil},
		{"MIGRATE", []string{"yes", "on", "2", ""}, "true or false", nil},
		{"QUEUE_TYPE", []string{"Quorum", "stream", ""}, "quorum or classic", nil},
		{"QUEUE_PREFIX", []string{"", "a b", "amq.mageline", strings.Repeat("x", 128)}, "characters", nil},
		{"HTTP_ADDR", []string{"8080", "localhost", "http://localhost:8080", ":http", ":70000", ":-1", "::1:8080", "my host:80", "127.0.0.1:8080/metrics"}, "host:port", nil},
		{"LOG_LEVEL", []string{"INFO", "verbose", ""}, "debug", nil},
		{"TRACKING_SOURCE_CODE", []string{"two words"}, "no blank", nil},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", []string{"collector:4318", "grpc://collector", "http://", "http://col lector", `"http://collector"`, "http://collector:0"}, "http://", nil},
	}
	for _, tt := range tests {
		for _, value := range tt.values {
			t.Run(tt.name+"="+value, func(t *testing.T) {
				if strings.HasPrefix(tt.name, "OTEL_") {
					environment(t, complete(tt.more...))
					t.Setenv(tt.name, value)
				} else {
					environment(t, complete(append(tt.more, tt.name, value)...))
				}
				wantOnly(t, tt.name, tt.says)
			})
		}
	}
}

// What looks odd and is right.
func TestLoad_TakesRightValues(t *testing.T) {
	for name, values := range map[string][]string{
		"AMQP_URL": {
			"amqp://[::1]:5672/", "amqp://rabbit_mq", "amqps://u:p%40ss@b.example./%2F?heartbeat=0", "amqp://u:a,b@c/", "amqp://a/v,amqp://b/v, amqps://c/v",
			"amqp://a/?connection_timeout=1000&channel_max=2047&auth_mechanism=plain",
		},
		"AMQP_MANAGEMENT_URL": {"http://u:p@[::1]:15672/", "https://broker/rabbit"},
		"DATABASE_URL": {
			"postgres:///x", "postgres://u:p@/x?host=/var/run/postgresql", "postgresql://a:1,b:2/x?target_session_attrs=read-write", "host=db_1 dbname=x", "postgres://[::1]:5432/x",
			"postgres://db/x?search_path=a,b&pool_max_conns=3&default_query_exec_mode=exec&options=-c%20statement_timeout%3D5s",
		},
		"MAGENTO_URL": {
			"http://shop", "https://shop.example.com/", "https://shop.example.com/rest", "https://shop.example.com/rest/", "https://shop.example.com/sub/index.php",
			"https://shop.example.com:8443/index.php/rest", "https://bücher.example", "http://[::1]:8080", "https://shop_1", "https://shop.example.com/restaurant",
		},
		"MAGENTO_STORE_CODE": {"de", "DE_at", "v2", "all"},
		"ERP_URL":            {"http://erp:8081/api/", "http://127.0.0.1:1"},
		"ERP_NAME":           {"ACME & Söhne", `the "ERP"`, "it's"},
		"HTTP_ADDR":          {":0", "127.0.0.1:0", "[::]:8080", "localhost:8080", ""},
		"PREFETCH":           {"1", "65535"},
		"MAGENTO_RATE_LIMIT": {"0.5", "10"},
	} {
		for _, value := range values {
			environment(t, complete(name, value))
			if all := problems(t); len(all) > 0 {
				t.Errorf("%s=%s: %v", name, value, all)
			}
		}
	}
}
