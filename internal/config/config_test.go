package config_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/internal/app"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/tracking"
)

// environment sets exactly these variables of ours, for the test.
func environment(t *testing.T, vars map[string]string) {
	t.Helper()
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "MAGELINE_") {
			t.Setenv(name, value) // so that it comes back
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, value := range vars {
		t.Setenv("MAGELINE_"+name, value)
	}
}

// complete is an environment in which everything runs.
func complete(more ...string) map[string]string {
	vars := map[string]string{"MAGENTO_URL": "https://shop.example.com", "MAGENTO_TOKEN": "t0ken", "ERP_URL": "http://erp:8081/api"}
	for i := 0; i < len(more); i += 2 {
		vars[more[i]] = more[i+1]
	}
	return vars
}

func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoad_UsesDefaults(t *testing.T) {
	environment(t, nil)
	t.Setenv("PREFETCH", "7") // other programs' variables are not ours
	t.Setenv("DATABASE_URL", "postgres://elsewhere/db")
	c, err := app.Load(config.Nothing)
	if err != nil {
		t.Fatal(err)
	}
	if c.AMQPURL.Reveal() != "amqp://guest:guest@127.0.0.1:5672/" || c.DatabaseURL.Reveal() != "postgres://127.0.0.1:5432/postgres" ||
		c.Prefetch != 64 || c.Concurrency != 16 || c.HandlerTimeout != time.Minute || c.QueueType != config.Quorum || !c.Migrate ||
		c.HTTPAddr != ":8080" || c.MagentoTimezone.Location != time.UTC || !c.OrderExportFrom.IsZero() || c.ERP != config.Webhook {
		t.Errorf("defaults are %+v", c)
	}
	if want := []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour}; !slices.Equal(c.RetryDelays, want) {
		t.Errorf("retry delays %v", c.RetryDelays)
	}
	for state, want := range map[string]bool{"processing:x": true, "complete:x": true, "new:checkmo": true, "new:paypal": false, "pending_payment:checkmo": false} {
		s, method, _ := strings.Cut(state, ":")
		if c.OrderExportStates.Allow(s, method) != want {
			t.Errorf("an order in %s goes out: %t", state, !want)
		}
	}
	if !c.OrderExportStores.Allow(0) || !c.OrderExportStores.Allow(12) {
		t.Error("a store is left out")
	}
}

func TestLoad_ReadsEachType(t *testing.T) {
	environment(t, complete(
		"RETRY_DELAYS", "5s, 5s ,1m", "CONSUMERS", "order_canceled", "BINDINGS", "order_canceled:a.b, order_canceled:c.#,order_placed:x",
		"ORDER_EXPORT_STORES", "1, 3", "ORDER_EXPORT_FROM", "2026-11-01T00:00:00+01:00", "ORDER_EXPORT_STATES", "new",
		"ORDER_STATUS_EXPORTED", "processing:exported,sent", "MAGENTO_TIMEZONE", "Europe/Berlin", "HTTP_ADDR", "", "MAGENTO_RATE_LIMIT", "0.5",
		"QUEUE_TYPE", "classic", "LOG_LEVEL", "debug", "ERP_NAME", "", "IDEMPOTENCY_LEASE", "65s",
	))
	c, err := app.Load(config.EnabledConsumers)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.RetryDelays) != 3 || c.MagentoRateLimit != 0.5 || c.HTTPAddr != "" || c.QueueType != config.Classic || c.MagentoTimezone.String() != "Europe/Berlin" {
		t.Errorf("got %+v", c)
	}
	if e := c.EnabledConsumers(); len(e) != 1 || e[0].Name != "order_canceled" || !slices.Equal(e[0].Topics, []string{"a.b", "c.#"}) {
		t.Errorf("enabled %+v", e)
	}
	if !c.OrderExportFrom.Equal(time.Date(2026, 10, 31, 23, 0, 0, 0, time.UTC)) {
		t.Errorf("from %s", c.OrderExportFrom)
	}
	if c.OrderStatusExported.Status("processing") != "exported" || c.OrderStatusExported.Status("complete") != "sent" {
		t.Errorf("status %v", c.OrderStatusExported)
	}
	if pairs := c.OrderStatusExported.Pairs([]string{"processing", "new"}); !slices.Equal(pairs, [][2]string{{"new", "sent"}, {"processing", "exported"}}) {
		t.Errorf("pairs %v", pairs)
	}
	if c.OrderExportStores.Allow(2) || !c.OrderExportStores.Allow(3) || !c.OrderExportStates.Allow("new", "any") || c.OrderExportStates.Allow("processing", "any") {
		t.Error("the wrong orders go out")
	}
}

func TestEnabledConsumers_ByNameAndNeeds(t *testing.T) {
	tests := []struct{ consumers, erp, want string }{
		{"all", "webhook", "order_placed order_canceled shipment_created creditmemo_created customer_saved tracking_received price_sync stock_sync"},
		{"order_placed", "webhook", "order_placed"},
		{"all", "none", "tracking_received price_sync stock_sync"},
	}
	for _, tt := range tests {
		t.Run(tt.consumers+" "+tt.erp, func(t *testing.T) {
			environment(t, complete("CONSUMERS", tt.consumers, "ERP", tt.erp))
			c, err := app.Load(config.EnabledConsumers)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, e := range c.EnabledConsumers() {
				names = append(names, e.Name)
			}
			if got := strings.Join(names, " "); got != tt.want {
				t.Errorf("enabled %q, want %q", got, tt.want)
			}
		})
	}
}

// wrongVariables are values that are refused, each with the variables that the error names.
var wrongVariables = []struct {
	vars  []string // besides complete
	wrong string   // variables, in the order of the table
}{
	{[]string{"PREFETCH", "many"}, "PREFETCH"},
	{[]string{"PREFETCH", "0"}, "PREFETCH"},
	{[]string{"PREFETCH", ""}, "PREFETCH"},
	{[]string{"PREFETCH", "65536"}, "PREFETCH"},
	{[]string{"CONCURRENCY", "-1"}, "CONCURRENCY"},
	{[]string{"RETRY_DELAYS", ""}, "RETRY_DELAYS"},
	{[]string{"RETRY_DELAYS", "5s,0s"}, "RETRY_DELAYS"},
	{[]string{"RETRY_DELAYS", "5s,,1m"}, "RETRY_DELAYS"},
	{[]string{"RETRY_DELAYS", "10"}, "RETRY_DELAYS"},
	{[]string{"RETRY_DELAYS", "10000h"}, "RETRY_DELAYS"},
	{[]string{"HANDLER_TIMEOUT", "0"}, "HANDLER_TIMEOUT"},
	{[]string{"MEMORY_LIMIT", "lots"}, "MEMORY_LIMIT"},
	{[]string{"MEMORY_LIMIT", "1023KiB"}, "MEMORY_LIMIT"},
	{[]string{"MEMORY_LIMIT", "-1GiB"}, "MEMORY_LIMIT"},
	{[]string{"MEMORY_LIMIT", "9999999999GiB"}, "MEMORY_LIMIT"},
	{[]string{"HANDLER_TIMEOUT", "86s"}, "IDEMPOTENCY_LEASE"},
	{[]string{"IDEMPOTENCY_LEASE", "64s"}, "IDEMPOTENCY_LEASE"},
	{[]string{"HANDLER_TIMEOUT", "x", "IDEMPOTENCY_LEASE", "1s"}, "HANDLER_TIMEOUT"},
	{[]string{"MIGRATE", "perhaps"}, "MIGRATE"},
	{[]string{"AMQP_URL", "http://rabbit"}, "AMQP_URL"},
	{[]string{"AMQP_URL", ""}, "AMQP_URL"},
	{[]string{"AMQP_MANAGEMENT_URL", "amqp://u:p@rabbit"}, "AMQP_MANAGEMENT_URL"},
	{[]string{"AMQP_MANAGEMENT_URL", "rabbit:15672"}, "AMQP_MANAGEMENT_URL"},
	{[]string{"AMQP_MANAGEMENT_URL", "http://u:p@rabbit:15672/?x=1"}, "AMQP_MANAGEMENT_URL"},
	{[]string{"AMQP_CA_FILE", "/there/is/none.pem", "AMQP_URL", "amqps://rabbit"}, "AMQP_CA_FILE"},
	{[]string{"AMQP_CA_FILE", "/there/is/none.pem"}, "AMQP_CA_FILE"},
	{[]string{"AMQP_CERT_FILE", "config.go", "AMQP_URL", "amqps://rabbit"}, "AMQP_KEY_FILE"},
	{[]string{"AMQP_EXCHANGE", ""}, "AMQP_EXCHANGE"},
	{[]string{"QUEUE_PREFIX", "amq.x"}, "QUEUE_PREFIX"},
	{[]string{"QUEUE_TYPE", "stream"}, "QUEUE_TYPE"},
	{[]string{"DATABASE_URL", "mysql://db"}, "DATABASE_URL"},
	{[]string{"CONSUMERS", "order_place"}, "CONSUMERS"},
	{[]string{"CONSUMERS", ""}, "CONSUMERS"},
	{[]string{"CONSUMERS", "products_exported"}, "CONSUMERS"},
	{[]string{"SEARCH", "solr"}, "SEARCH"},
	{[]string{"SEARCH_URL", "search:9200"}, "SEARCH_URL"},
	{[]string{"SEARCH_URL", "http://a:9200,,http://b:9200"}, "SEARCH_URL"},
	{[]string{"SEARCH_INDEX", "Products"}, "SEARCH_INDEX"},
	{[]string{"SEARCH_STORES", "de"}, "SEARCH_STORES"},
	{[]string{"SEARCH_STORES", "de:_products"}, "SEARCH_STORES"},
	{[]string{"SEARCH_STORES", "de:products,fr:products"}, "SEARCH_STORES"},
	{[]string{"SEARCH_STORES", "de:products,de:others"}, "SEARCH_STORES"},
	{[]string{"SEARCH_ATTRIBUTES", "color,a-b"}, "SEARCH_ATTRIBUTES"},
	{[]string{"SEARCH_SETTLE", "-1s"}, "SEARCH_SETTLE"},
	{[]string{"SEARCH_DOCUMENT_SIZE", "1000"}, "SEARCH_DOCUMENT_SIZE"},
	{[]string{"SEARCH_TIMEOUT", "0"}, "SEARCH_TIMEOUT"},
	{[]string{"SEARCH_USERNAME", "u"}, "SEARCH_PASSWORD"},
	{[]string{"SEARCH_PASSWORD", "p"}, "SEARCH_USERNAME"},
	{[]string{"SEARCH_API_KEY", "k", "SEARCH_TOKEN", "t"}, "SEARCH_TOKEN"},
	{[]string{"SEND", "some"}, "SEND"},
	{[]string{"PRICE_MAX_CHANGE", "0.5"}, "PRICE_MAX_CHANGE"},
	{[]string{"PRICE_MAX_CHANGE", "0%"}, "PRICE_MAX_CHANGE"},
	{[]string{"PRICE_SCOPE", "store"}, "PRICE_SCOPE"},
	{[]string{"STOCK_BUFFER", "default"}, "STOCK_BUFFER"},
	{[]string{"STOCK_BUFFER", "default=-1"}, "STOCK_BUFFER"},
	{[]string{"MAGENTO_BULK_SIZE", "0"}, "MAGENTO_BULK_SIZE"},
	{[]string{"MAGENTO_BULK_TARGET", "0s"}, "MAGENTO_BULK_TARGET"},
	{[]string{"MAGENTO_BULK_CONCURRENCY", "0"}, "MAGENTO_BULK_CONCURRENCY"},
	{[]string{"CONSUMERS", "all,order_placed"}, "CONSUMERS"},
	{[]string{"CONSUMERS", "order_placed", "ERP", "none"}, "CONSUMERS"},
	{[]string{"BINDINGS", "order_placed"}, "BINDINGS"},
	{[]string{"BINDINGS", "order_placed:"}, "BINDINGS"},
	{[]string{"BINDINGS", "nobody:a.b"}, "BINDINGS"},
	{[]string{"MAGENTO_URL", "shop.example.com"}, "MAGENTO_URL"},
	{[]string{"MAGENTO_URL", "https://u:p@shop.example.com"}, "MAGENTO_URL"},
	{[]string{"MAGENTO_URL", ""}, "MAGENTO_URL"},
	{[]string{"MAGENTO_TOKEN", ""}, "MAGENTO_TOKEN"},
	{[]string{"MAGENTO_TOKEN", "", "MAGENTO_USERNAME", "u"}, "MAGENTO_PASSWORD"},
	{[]string{"MAGENTO_USERNAME", "u", "MAGENTO_PASSWORD", "p"}, "MAGENTO_USERNAME"},
	{[]string{"MAGENTO_TOKEN", "", "MAGENTO_CONSUMER_KEY", "k", "MAGENTO_ACCESS_TOKEN", "t"}, "MAGENTO_CONSUMER_SECRET MAGENTO_ACCESS_TOKEN_SECRET"},
	{[]string{"MAGENTO_TOKEN_FILE", "/there/is/none"}, "MAGENTO_TOKEN"},
	{[]string{"MAGENTO_TOKEN", "", "MAGENTO_TOKEN_FILE", "/there/is/none"}, "MAGENTO_TOKEN"},
	{[]string{"MAGENTO_STORE_CODE", "a/b"}, "MAGENTO_STORE_CODE"},
	{[]string{"MAGENTO_TIMEZONE", "Berlin"}, "MAGENTO_TIMEZONE"},
	{[]string{"MAGENTO_RATE_LIMIT", "-1"}, "MAGENTO_RATE_LIMIT"},
	{[]string{"ERP_RATE_LIMIT", "NaN"}, "ERP_RATE_LIMIT"},
	{[]string{"ERP", "netsuite"}, "ERP_MAPPING NETSUITE_URL NETSUITE_CLIENT_ID NETSUITE_CERTIFICATE_ID NETSUITE_PRIVATE_KEY"},
	{[]string{"ERP", "netsuite", "NETSUITE_AUTH", "tba"}, "ERP_MAPPING NETSUITE_URL NETSUITE_ACCOUNT NETSUITE_CONSUMER_KEY NETSUITE_CONSUMER_SECRET NETSUITE_TOKEN_ID NETSUITE_TOKEN_SECRET"},
	{[]string{"NETSUITE_AUTH", "basic"}, "NETSUITE_AUTH"},
	{[]string{"NETSUITE_URL", "1234567"}, "NETSUITE_URL"},
	{[]string{"NETSUITE_CERTIFICATE", "/there/is/none.pem"}, "NETSUITE_CERTIFICATE"},
	{[]string{"ERP", "sap"}, "ERP_MAPPING SAP_URL SAP_USERNAME SAP_PASSWORD"},
	{[]string{"ERP", "sap", "SAP_URL", "https://sap.example", "SAP_TOKEN_URL", "https://sap.example/token", "ERP_MAPPING", "config.go"}, "SAP_CLIENT_ID SAP_CLIENT_SECRET"},
	{[]string{"SAP_CLIENT", "1"}, "SAP_CLIENT"},
	{[]string{"SAP_LANGUAGE", "English"}, "SAP_LANGUAGE"},
	{[]string{"SAP_URL", "sap"}, "SAP_URL"},
	{[]string{"ERP", "oracle"}, "ERP"},
	{[]string{"ERP_URL", ""}, "ERP_URL"},
	{[]string{"ERP", "businesscentral"}, "ERP_MAPPING BUSINESSCENTRAL_URL BUSINESSCENTRAL_COMPANY BUSINESSCENTRAL_TENANT BUSINESSCENTRAL_CLIENT_ID BUSINESSCENTRAL_CLIENT_SECRET"},
	{[]string{"ERP", "businesscentral", "BUSINESSCENTRAL_USERNAME", "u"}, "ERP_MAPPING BUSINESSCENTRAL_URL BUSINESSCENTRAL_COMPANY BUSINESSCENTRAL_ACCESS_KEY"},
	{[]string{"BUSINESSCENTRAL_URL", "bc.example.com"}, "BUSINESSCENTRAL_URL"},
	{[]string{"ERP", "finops"}, "ERP_MAPPING FINOPS_URL FINOPS_COMPANY FINOPS_TENANT FINOPS_CLIENT_ID FINOPS_CLIENT_SECRET"},
	{[]string{"ERP_MAPPING", "/there/is/none.yaml"}, "ERP_MAPPING"},
	{[]string{"ERP_UNCERTAIN_WAIT", "-1s"}, "ERP_UNCERTAIN_WAIT"},
	{[]string{"ORDER_SOURCE", "guess"}, "ORDER_SOURCE"},
	{[]string{"ORDER_KEY", "entity_id"}, "ORDER_KEY"},
	{[]string{"ORDER_EXPORT_STATES", ""}, "ORDER_EXPORT_STATES"},
	{[]string{"ORDER_EXPORT_STATES", "paid"}, "ORDER_EXPORT_STATES"},
	{[]string{"ORDER_EXPORT_STATES", "canceled"}, "ORDER_EXPORT_STATES"},
	{[]string{"ORDER_EXPORT_STATES", "new:"}, "ORDER_EXPORT_STATES"},
	{[]string{"ORDER_EXPORT_STORES", "main"}, "ORDER_EXPORT_STORES"},
	{[]string{"ORDER_EXPORT_FROM", "2026-11-01"}, "ORDER_EXPORT_FROM"},
	{[]string{"ORDER_STATUS_EXPORTED", "exported", "ORDER_COMMENT", "false"}, "ORDER_STATUS_EXPORTED"},
	{[]string{"ORDER_STATUS_EXPORTED", "processing:"}, "ORDER_STATUS_EXPORTED"},
	{[]string{"ORDER_STATUS_EXPORTED", "paid:x"}, "ORDER_STATUS_EXPORTED"},
	{[]string{"ORDER_STATUS_EXPORTED", "exported,sent"}, "ORDER_STATUS_EXPORTED"},
	{[]string{"ORDER_STATUS_EXPORTED", "processing:" + strings.Repeat("x", 33)}, "ORDER_STATUS_EXPORTED"},
	{[]string{"CONSUMERS", "tracking_file_ready"}, "CONSUMERS"},
	{[]string{"TRACKING_DIR", "config.go"}, "TRACKING_DIR"},
	{[]string{"TRACKING_PATTERN", "[a"}, "TRACKING_PATTERN"},
	{[]string{"TRACKING_PATTERN", "in/*.csv"}, "TRACKING_PATTERN"},
	{[]string{"TRACKING_STILL", "0s"}, "TRACKING_STILL"},
	{[]string{"TRACKING_COLUMNS", "order_number"}, "TRACKING_COLUMNS"},
	{[]string{"TRACKING_COLUMNS", "order=x"}, "TRACKING_COLUMNS"},
	{[]string{"TRACKING_COLUMNS", "sku=a,sku=b"}, "TRACKING_COLUMNS"},
	{[]string{"TRACKING_COLUMNS", "order_number=1,tracking_number=0"}, "TRACKING_COLUMNS"},
	{[]string{"TRACKING_COLUMNS", "order_number=-,tracking_number=Nr."}, "TRACKING_COLUMNS"},
	{[]string{"TRACKING_PROFILES", "/there/is/none"}, "TRACKING_PROFILES"},
	{[]string{"TRACKING_PROFILES", "config.go"}, "TRACKING_PROFILES"},
	{[]string{"TRACKING_COLUMNS", "order_number=1,sku=2"}, "TRACKING_COLUMNS"},
	{[]string{"TRACKING_CARRIERS", "dhl"}, "TRACKING_CARRIERS"},
	{[]string{"TRACKING_CARRIERS", "DHL=Deutsche Post"}, "TRACKING_CARRIERS"},
	{[]string{"TRACKING_CARRIERS", "DHL=dhl,DHL=post"}, "TRACKING_CARRIERS"},
	{[]string{"BREAKER_FAILURES", "-1"}, "BREAKER_FAILURES"},
	{[]string{"BREAKER_OPEN_FOR", "0s"}, "BREAKER_OPEN_FOR"},
	{[]string{"HTTP_ADDR", "8080"}, "HTTP_ADDR"},
	{[]string{"LOG_LEVEL", "loud"}, "LOG_LEVEL"},
	{[]string{"LOG_FORMAT", "xml"}, "LOG_FORMAT"},
	{[]string{"LOG_FORMAT", "xml", "PREFETCH", "x", "MAGENTO_URL", "", "RETRY_DELAYS", "1"}, "PREFETCH RETRY_DELAYS MAGENTO_URL LOG_FORMAT"},
}

func TestLoad_NamesEveryProblem(t *testing.T) {
	for _, tt := range wrongVariables {
		t.Run(strings.Join(tt.vars, " "), func(t *testing.T) {
			environment(t, complete(tt.vars...))
			_, err := app.Load(config.EnabledConsumers)
			var e *config.Error
			if !errors.As(err, &e) {
				t.Fatalf("error %v", err)
			}
			var wrong []string
			for _, p := range e.Problems {
				wrong = append(wrong, strings.TrimPrefix(p.Variable, "MAGELINE_"))
				if p.Want == "" || !strings.Contains(err.Error(), p.String()) {
					t.Errorf("problem %+v", p)
				}
			}
			if got := strings.Join(wrong, " "); got != tt.wrong {
				t.Errorf("wrong are %s, want %s\n%v", got, tt.wrong, err)
			}
		})
	}
}

// Commands that use only RabbitMQ and Postgres run without Magento and an ERP; what is set must be right all the same.
func TestLoad_RequiresWhatACommandNeeds(t *testing.T) {
	tests := []struct {
		need  config.Need
		vars  map[string]string
		wrong int
	}{
		{config.Nothing, nil, 0},
		{config.Magento, nil, 2},
		{config.EnabledConsumers, nil, 3},
		{config.EnabledConsumers, map[string]string{"ERP": "none"}, 2},
		{config.EnabledConsumers, map[string]string{"TRACKING_WHEN_NO_SHIPMENT": "never", "ERP": "none"}, 3},
		{config.Magento, map[string]string{"MAGENTO_URL": "http://m", "MAGENTO_USERNAME": "u", "MAGENTO_PASSWORD": "p"}, 0},
		{config.Nothing, map[string]string{"MAGENTO_URL": "m"}, 1},
	}
	for i, tt := range tests {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			environment(t, tt.vars)
			_, err := app.Load(tt.need)
			var e *config.Error
			n := 0
			if errors.As(err, &e) {
				n = len(e.Problems)
			}
			if n != tt.wrong {
				t.Errorf("%d problems, want %d: %v", n, tt.wrong, err)
			}
		})
	}
}

func TestLoad_ReadsSecretsFromFiles(t *testing.T) {
	for content, want := range map[string]string{"s3cret\n": "s3cret", "s3cret": "s3cret", "s3cret\r\n": "s3cret", "s3\ncret\n": "s3\ncret", "it's": "it's"} {
		path := file(t, content)
		environment(t, complete("ERP_SECRET", "", "ERP_SECRET_FILE", path))
		c, err := app.Load(config.EnabledConsumers)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.ERPSecret.Reveal(); got != want {
			t.Errorf("%q gives %q", content, got)
		}
		if len(c.Warnings) != 0 {
			t.Errorf("warnings %v", c.Warnings)
		}
	}
	environment(t, complete("MAGENTO_TOKEN_FILE", file(t, "s3cret")))
	if _, err := app.Load(config.Nothing); err == nil || !strings.Contains(err.Error(), "not both") {
		t.Errorf("both a value and a file: %v", err)
	}
}

// Nothing that is printed has a secret in it.
func TestConfig_ShowsNoSecret(t *testing.T) {
	const secret = "hunter2"
	environment(t, map[string]string{
		"AMQP_MANAGEMENT_URL": "http://u:" + secret + "@rabbit:x/",
		"AMQP_URL":            "amqp://u:" + secret + "@rabbit:x/", "DATABASE_URL": "postgres://u:" + secret + "@db:x/", "ERP_TOKEN": secret,
		"ERP_SECRET_FILE": file(t, secret), "ERP_URL": "http://u:" + secret + "@erp", "MAGENTO_URL": "u:" + secret + "@shop", "MAGENTO_PASSWORD": secret,
	})
	_, err := app.Load(config.EnabledConsumers)
	var e *config.Error
	if !errors.As(err, &e) || strings.Contains(err.Error(), secret) {
		t.Errorf("error %v", err)
	}
	table, err := json.Marshal(config.Table())
	if err != nil || strings.Contains(string(table), secret) {
		t.Errorf("table %s, %v", table, err)
	}
	for _, v := range config.Table() {
		if (v.Name == "MAGELINE_ERP_TOKEN" || v.Name == "MAGELINE_ERP_SECRET") && v.Value != "***" {
			t.Errorf("%s shows %q", v.Name, v.Value)
		}
		if v.Name == "MAGELINE_MAGENTO_TOKEN" && v.Value != "" {
			t.Errorf("%s is not set and shows %q", v.Name, v.Value)
		}
		if v.Meaning == "" || v.Type == "" {
			t.Errorf("%s has no meaning or no type", v.Name)
		}
	}
	environment(t, complete("ERP_TOKEN", secret))
	c, err := app.Load(config.Nothing)
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if shown := fmt.Sprintf("%v %+v %#v %s", c, c, c, asJSON); strings.Contains(shown, secret) {
		t.Errorf("shown: %s", shown)
	}
}

func TestLoad_WarnsOfUnknownVariables(t *testing.T) {
	environment(t, complete("PREFECTH", "1", "SERCH_URL", "/in", "TEST_AMQP_URL", "x", "PREFETCH_FILE", "x"))
	c, err := app.Load(config.EnabledConsumers)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(c.Warnings, "\n"); len(c.Warnings) != 3 || !strings.Contains(got, "MAGELINE_PREFECTH") || !strings.Contains(got, "MAGELINE_PREFETCH_FILE") {
		t.Errorf("warnings:\n%s", got)
	}
}

func TestLoad_ReadsTrackingSettings(t *testing.T) {
	environment(t, complete("TRACKING_DIR", "/there/is/none/yet", "CONSUMERS", "tracking_file_ready",
		"TRACKING_COLUMNS", "order_number=Auftragsnr., tracking_number=Nr. = Sendung", "TRACKING_CARRIERS", "DHL Paket=dhl, DPD=DE=dpd"))
	c, err := app.Load(config.EnabledConsumers)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.EnabledConsumers(); len(got) != 1 || got[0].Name != "tracking_file_ready" {
		t.Errorf("enabled %+v", got)
	}
	if c.TrackingPattern != "*.csv,*.txt,*.tsv" || len(c.TrackingColumns) != 2 || c.TrackingColumns["tracking_number"][0].Name != "Nr. = Sendung" ||
		len(c.TrackingCarriers) != 2 || c.TrackingCarriers["DPD=DE"] != "dpd" {
		t.Errorf("%+v", c)
	}
	// What is taken for a column here is one for the reader.
	for _, name := range tracking.ColumnNames() {
		if err := new(config.TrackingColumns).Decode(name + "=x"); err != nil {
			t.Error(err)
		}
	}
}

func TestBytes_DecodeAndString(t *testing.T) {
	for value, want := range map[string]config.Bytes{
		"256MiB": 256 << 20, "1GiB": 1 << 30, "2048KiB": 2 << 20, "3 MB": 3e6, "5GB": 5e9, "1048576": 1 << 20, "1048577B": 1<<20 + 1,
	} {
		var got, again config.Bytes
		if err := got.Decode(value); err != nil || got != want {
			t.Errorf("%s is %d, %v; want %d", value, got, err, want)
		}
		if err := again.Decode(got.String()); err != nil || again != got {
			t.Errorf("%s is shown as %s, which is %d, %v", value, got, again, err)
		}
	}
}

// The others than the webhook start with limits of their own, unless they are set.
func TestLoad_WhatDependsOnTheERP(t *testing.T) {
	file := filepath.Join(t.TempDir(), "codes.yaml")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	chosen := []string{
		"ERP", "businesscentral", "ERP_MAPPING", file, "BUSINESSCENTRAL_URL", "https://bc.example.com/api/v2.0", "BUSINESSCENTRAL_COMPANY", "CRONUS",
		"BUSINESSCENTRAL_TENANT", "contoso.example", "BUSINESSCENTRAL_CLIENT_ID", "id", "BUSINESSCENTRAL_CLIENT_SECRET", "hush",
	}
	for _, tt := range []struct {
		set         []string
		concurrency int
		wait        time.Duration
	}{
		{nil, 16, 0},
		{chosen, 4, 10 * time.Minute},
		{[]string{"ERP", "sap", "ERP_MAPPING", file, "SAP_URL", "https://sap.example", "SAP_USERNAME", "u", "SAP_PASSWORD", "p"}, 4, 15 * time.Minute},
		{[]string{
			"ERP", "netsuite", "ERP_MAPPING", file, "NETSUITE_URL", "https://1234567.suitetalk.api.netsuite.com", "NETSUITE_CLIENT_ID", "id",
			"NETSUITE_CERTIFICATE_ID", "cert", "NETSUITE_PRIVATE_KEY", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
		}, 4, 15 * time.Minute},
		{append(slices.Clone(chosen), "ERP_CONCURRENCY", "16", "ERP_UNCERTAIN_WAIT", "0"), 16, 0},
	} {
		environment(t, complete(tt.set...))
		c, err := app.Load(config.EnabledConsumers)
		if err != nil {
			t.Fatal(err)
		}
		if c.ERPConcurrency != tt.concurrency || c.ERPUncertainWait != tt.wait {
			t.Errorf("%v: %d calls at once, and %s", tt.set, c.ERPConcurrency, c.ERPUncertainWait)
		}
		if c.ERP == config.BusinessCentral && c.BusinessCentralTokenURL != "https://login.microsoftonline.com/contoso.example/oauth2/v2.0/token" {
			t.Errorf("tokens come from %s", c.BusinessCentralTokenURL)
		}
	}
}

// Without a Magento there is nothing to compare the ledger with, and `mageline config` does not show it otherwise.
func TestLoad_ReconcilesWhereThereIsAMagento(t *testing.T) {
	for _, tt := range []struct {
		vars  map[string]string
		want  time.Duration
		shown string
	}{
		{map[string]string{}, 0, "0"},
		{map[string]string{"MAGENTO_URL": "https://shop.example"}, 15 * time.Minute, "15m"},
		{map[string]string{"RECONCILE_EVERY": "1h"}, time.Hour, "1h"},
		{map[string]string{"MAGENTO_URL": "https://shop.example", "RECONCILE_EVERY": "0"}, 0, "0"},
	} {
		environment(t, tt.vars)
		cfg, err := config.Load(config.Nothing, nil)
		if err != nil {
			t.Fatal(err)
		}
		if cfg.ReconcileEvery != tt.want {
			t.Errorf("%v: every %v, want %v", tt.vars, cfg.ReconcileEvery, tt.want)
		}
		for _, v := range config.Table() {
			if v.Name == "MAGELINE_RECONCILE_EVERY" && v.Value != tt.shown {
				t.Errorf("%v: shown as %q, want %q", tt.vars, v.Value, tt.shown)
			}
		}
	}
}
