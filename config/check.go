package config

import (
	"math"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mageline/mageline/postgres"
)

// leaseMargin is by how much IDEMPOTENCY_LEASE exceeds HANDLER_TIMEOUT: docs/ledger.md says why.
const leaseMargin = 5 * time.Second

var storeCode = regexp.MustCompile(`^[A-Za-z0-9_]{1,64}$`)

// check is what the types can't say: ranges, and what must fit together. A variable that could not be read is not
// looked at again.
func (l *loader) check(need Need) {
	l.checkRabbitMQ()
	l.checkDatabase()
	l.checkRanges()
	l.checkHeaders()
	l.checkConsumers()
	l.checkMagento()
	l.checkERP()
	l.checkProxies()
	l.checkTracking()
	if len(l.c.OrderStatusExported) > 0 && !l.c.OrderComment {
		l.problem("ORDER_STATUS_EXPORTED", "is set together with the comment: leave it empty, or set %sORDER_COMMENT=true", prefix)
	}
	if _, port, err := net.SplitHostPort(l.c.HTTPAddr); l.c.HTTPAddr != "" && (err != nil || !isPort(port)) {
		l.problem("HTTP_ADDR", "must be host:port or :port, or empty to be off")
	}
	l.checkNeeds(need)
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n <= math.MaxUint16
}

func (l *loader) checkRabbitMQ() {
	c := l.c
	u, err := url.Parse(c.AMQPURL.Reveal())
	if err != nil || u.Scheme != "amqp" && u.Scheme != "amqps" || u.Hostname() == "" {
		l.problem("AMQP_URL", "must be amqp://user:password@host:port/vhost or amqps://…, special characters percent-encoded")
	}
	if c.AMQPManagementURL != "" {
		u, err := url.Parse(c.AMQPManagementURL.Reveal())
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
			l.problem("AMQP_MANAGEMENT_URL", "must be http://user:password@host:15672 or https://…, special characters percent-encoded, without query or fragment")
		}
	}
	files := []struct{ name, path string }{{"AMQP_CA_FILE", c.AMQPCAFile}, {"AMQP_CERT_FILE", c.AMQPCertFile}, {"AMQP_KEY_FILE", c.AMQPKeyFile}}
	for _, f := range files {
		if f.path == "" {
			continue
		}
		if err == nil && u.Scheme == "amqp" {
			l.problem(f.name, "is for TLS: %sAMQP_URL must be amqps:// then", prefix)
		} else if info, err := os.Stat(f.path); err != nil || info.IsDir() {
			l.problem(f.name, "must be a PEM file that can be read")
		}
	}
	if c.AMQPCertFile != "" && c.AMQPKeyFile == "" {
		l.problem("AMQP_KEY_FILE", "is needed with %sAMQP_CERT_FILE", prefix)
	}
	if c.AMQPKeyFile != "" && c.AMQPCertFile == "" {
		l.problem("AMQP_CERT_FILE", "is needed with %sAMQP_KEY_FILE", prefix)
	}
	// AMQP names have at most 255 bytes, and ours add to the prefix.
	if !isName(c.QueuePrefix, 127) || strings.HasPrefix(c.QueuePrefix, "amq.") {
		l.problem("QUEUE_PREFIX", "must be 1 to 127 characters without spaces, and not begin with amq.")
	}
	if !isName(c.AMQPExchange, 127) {
		l.problem("AMQP_EXCHANGE", "must be 1 to 127 characters without spaces")
	}
}

func isName(s string, longest int) bool {
	return s != "" && len(s) <= longest && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == 0xfffd })
}

func (l *loader) checkDatabase() {
	direct := l.c.MigrateDatabaseURL.Reveal()
	if direct != "" {
		if _, err := postgres.Parse(direct, ""); err != nil {
			l.problem("MIGRATE_DATABASE_URL", "%v", err)
			direct = ""
		}
	}
	if _, err := postgres.Parse(l.c.DatabaseURL.Reveal(), direct); err != nil {
		l.problem("DATABASE_URL", "%v", err)
	}
}

// checkHeaders refuses secrets that no header can hold, such as a file with a second line: each request would fail.
func (l *loader) checkHeaders() {
	for _, s := range []struct {
		name  string
		value Secret
	}{{"MAGENTO_TOKEN", l.c.MagentoToken}, {"ERP_TOKEN", l.c.ERPToken}} {
		if strings.ContainsFunc(s.value.Reveal(), func(r rune) bool { return r < ' ' || r == 0x7f }) {
			l.problem(s.name, "must be one line without control characters")
		}
	}
}

func (l *loader) checkRanges() {
	c := l.c
	for _, n := range []struct {
		name             string
		value, low, high int
	}{
		{"PREFETCH", c.Prefetch, 1, math.MaxUint16}, // a 16-bit field of basic.qos
		{"CONCURRENCY", c.Concurrency, 1, 10_000},
		{"ERP_CONCURRENCY", c.ERPConcurrency, 1, 10_000},
		{"BREAKER_FAILURES", c.BreakerFailures, 0, 10_000},
	} {
		if n.value < n.low || n.value > n.high {
			l.problem(n.name, "must be a whole number from %d to %d", n.low, n.high)
		}
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"HANDLER_TIMEOUT", c.HandlerTimeout},
		{"SHUTDOWN_TIMEOUT", c.ShutdownTimeout},
		{"IDEMPOTENCY_LEASE", c.IdempotencyLease},
		{"IDEMPOTENCY_RETENTION", c.IdempotencyRetention},
		{"MAGENTO_TIMEOUT", c.MagentoTimeout},
		{"ERP_TIMEOUT", c.ERPTimeout},
		{"ORDER_WAIT_EVERY", c.OrderWaitEvery},
		{"ORDER_WAIT_MAX", c.OrderWaitMax},
		{"BREAKER_OPEN_FOR", c.BreakerOpenFor},
	} {
		if d.value <= 0 {
			l.problem(d.name, "must be a duration above 0, such as 30s")
		}
	}
	if c.ERPUncertainWait < 0 {
		l.problem("ERP_UNCERTAIN_WAIT", "must be a duration, 0 or more")
	}
	if !l.wrong["HANDLER_TIMEOUT"] && c.IdempotencyLease < c.HandlerTimeout+leaseMargin {
		l.problem("IDEMPOTENCY_LEASE", "must be at least %sHANDLER_TIMEOUT + %s = %s", prefix, leaseMargin, c.HandlerTimeout+leaseMargin)
	}
	for _, r := range []struct {
		name  string
		value float64
	}{{"MAGENTO_RATE_LIMIT", c.MagentoRateLimit}, {"ERP_RATE_LIMIT", c.ERPRateLimit}} {
		if math.IsNaN(r.value) || math.IsInf(r.value, 0) || r.value < 0 {
			l.problem(r.name, "must be a number of requests a second, 0 for unlimited")
		}
	}
}

func (l *loader) checkConsumers() {
	if l.c.Consumers.All() {
		return
	}
	for _, name := range l.c.Consumers {
		switch consumer, known := FindConsumer(name); {
		case !known:
			l.problem("CONSUMERS", "there is no consumer %q, but %s", name, strings.Join(ConsumerNames(), ", "))
		case !consumer.built:
			l.problem("CONSUMERS", "the consumer %s is not in this build", name)
		case consumer.ERP && l.c.ERP == NoERP:
			l.problem("CONSUMERS", "the consumer %s needs an ERP: set %sERP, or leave it out", name, prefix)
		case consumer.Inbox && l.c.TrackingDir == "":
			l.problem("CONSUMERS", "the consumer %s needs an inbox: set %sTRACKING_DIR, or leave it out", name, prefix)
		}
	}
}

// checkMagento looks at what is set; checkNeeds at what is missing.
func (l *loader) checkMagento() {
	c := l.c
	l.checkURL("MAGENTO_URL", c.MagentoURL)
	if !storeCode.MatchString(c.MagentoStoreCode) {
		l.problem("MAGENTO_STORE_CODE", "must be a store view's code (letters, digits, _), or all")
	}
	var begun []string // one variable of each way that is begun
	for _, way := range l.ways() {
		var given, missing []string
		for _, v := range way {
			if v.value == "" {
				missing = append(missing, v.name)
			} else {
				given = append(given, v.name)
			}
		}
		if len(given) == 0 {
			continue
		}
		begun = append(begun, given[0])
		for _, name := range missing {
			l.problem(name, "is needed with %s%s", prefix, given[0])
		}
	}
	if len(begun) > 1 {
		l.problem(begun[1], "Magento is logged in to in one way: %s%s is set too, leave one of them out", prefix, begun[0])
	}
}

type credential struct{ name, value string }

// ways are the three ways to log in to Magento.
func (l *loader) ways() [][]credential {
	c := l.c
	return [][]credential{
		{{"MAGENTO_TOKEN", c.MagentoToken.Reveal()}},
		{
			{"MAGENTO_CONSUMER_KEY", c.MagentoConsumerKey.Reveal()},
			{"MAGENTO_CONSUMER_SECRET", c.MagentoConsumerSecret.Reveal()},
			{"MAGENTO_ACCESS_TOKEN", c.MagentoAccessToken.Reveal()},
			{"MAGENTO_ACCESS_TOKEN_SECRET", c.MagentoAccessTokenSecret.Reveal()},
		},
		{{"MAGENTO_USERNAME", c.MagentoUsername}, {"MAGENTO_PASSWORD", c.MagentoPassword.Reveal()}},
	}
}

func (l *loader) checkERP() {
	l.checkURL("ERP_URL", l.c.ERPURL)
	if len(l.c.ERPReferencePrefix) > 50 {
		l.problem("ERP_REFERENCE_PREFIX", "must have at most 50 bytes")
	}
}

func (l *loader) checkTracking() {
	if dir := l.c.TrackingDir; dir != "" {
		// One that is not there may be a share that is mounted later; check and the log say so.
		if info, err := os.Stat(dir); err == nil && !info.IsDir() {
			l.problem("TRACKING_DIR", "must be the path of a directory, such as /srv/tracking")
		}
	}
	if _, err := filepath.Match(l.c.TrackingPattern, ""); err != nil || l.c.TrackingPattern == "" || strings.Contains(l.c.TrackingPattern, "/") {
		l.problem("TRACKING_PATTERN", "must be a glob of file names, such as *.csv or *.[cC][sS][vV]")
	}
}

func (l *loader) checkURL(name, value string) {
	if value == "" {
		return
	}
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		l.problem(name, "must be http://host/path or https://host/path, without user, query or fragment")
	}
}

func (l *loader) checkNeeds(need Need) {
	magento, erp := need == Magento, false
	if need == EnabledConsumers {
		for _, c := range l.c.EnabledConsumers() {
			magento, erp = magento || c.Magento, erp || c.ERP
		}
	}
	if magento && l.c.MagentoURL == "" {
		l.problem("MAGENTO_URL", "set it to Magento's base address, such as https://shop.example.com")
	}
	// A secret whose file could not be read counts as given: its own problem is told already.
	given := slices.ContainsFunc(slices.Concat(l.ways()...), func(v credential) bool { return v.value != "" || l.wrong[v.name] })
	if magento && !given {
		l.problem("MAGENTO_TOKEN", "set it, or the four of OAuth (%[1]sMAGENTO_CONSUMER_KEY, …_CONSUMER_SECRET, …_ACCESS_TOKEN, …_ACCESS_TOKEN_SECRET), or %[1]sMAGENTO_USERNAME and %[1]sMAGENTO_PASSWORD", prefix)
	}
	if erp && l.c.ERP == Webhook && l.c.ERPURL == "" {
		l.problem("ERP_URL", "set it to the base address of the ERP's adapter, or %sERP=none", prefix)
	}
}
