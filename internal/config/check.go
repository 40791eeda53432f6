package config

import (
	"errors"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/mageline/mageline/internal/pg"
	"github.com/mageline/mageline/internal/tracing"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/rabbitmq"
)

// leaseMargin is by how much IDEMPOTENCY_LEASE exceeds HANDLER_TIMEOUT: docs/ledger.md says why.
const leaseMargin = 5 * time.Second

// check is what the types can't say: ranges, and what must fit together. A variable that could not be read is not
// looked at again.
func (l *loader) check(need Need) {
	l.checkRabbitMQ()
	l.checkDatabase()
	l.checkRanges()
	l.checkCredentials()
	l.checkConsumers()
	l.checkMagento()
	l.checkERP()
	l.checkConnector()
	l.checkSearch()
	l.checkProxies()
	l.checkTracking()
	if len(l.c.OrderStatusExported) > 0 && !l.c.OrderComment {
		l.problem("ORDER_STATUS_EXPORTED", "is set together with the comment: leave it empty, or set %sORDER_COMMENT=true", prefix)
	}
	l.checkHTTPAddr()
	l.checkTraces()
	l.checkNeeds(need)
}

func (l *loader) checkHTTPAddr() {
	if l.c.HTTPAddr == "" {
		return
	}
	host, port, err := net.SplitHostPort(l.c.HTTPAddr)
	if n, numeric := strconv.ParseUint(port, 10, 16); err != nil || numeric != nil || n > math.MaxUint16 ||
		host != "" && !isHost(host) {
		l.problem("HTTP_ADDR", "must be host:port or :port, such as :8080, or empty to be off")
	}
}

// checkTraces looks at OpenTelemetry's own variables as the exporter does.
func (l *loader) checkTraces() {
	for _, wrong := range tracing.Check(os.Getenv) {
		l.problems = append(l.problems, Problem{Variable: wrong.Variable, Value: shorten(wrong.Value), Set: true, Want: wrong.Want})
	}
}

func (l *loader) checkRabbitMQ() {
	c := l.c
	nodes, err := rabbitmq.ParseURL(c.AMQPURL.Reveal())
	for _, n := range nodes {
		if err == nil && !isHost(n.Host) {
			err = errors.New("has no name or address of a host in front of the port")
		}
	}
	if err != nil {
		l.problem("AMQP_URL", "%v", err)
	}
	if c.AMQPManagementURL != "" {
		const want = "want http://user:password@host:15672 or https://…, special characters percent-encoded, without query or fragment"
		if u, err := parseHTTP(c.AMQPManagementURL.Reveal(), true); err != nil {
			l.problem("AMQP_MANAGEMENT_URL", "%v; %s", err, want)
		} else if strings.HasSuffix(strings.TrimRight(u.Path, "/"), "/api") {
			l.problem("AMQP_MANAGEMENT_URL", "must end before /api; %s", want)
		}
	}
	l.checkBrokerFiles(nodes)
	// AMQP names have at most 255 bytes, and ours add to the prefix.
	if !isName(c.QueuePrefix, 127) || strings.HasPrefix(c.QueuePrefix, "amq.") {
		l.problem("QUEUE_PREFIX", "must be 1 to 127 characters without spaces, and not begin with amq.")
	}
	if !isName(c.AMQPExchange, 127) {
		l.problem("AMQP_EXCHANGE", "must be 1 to 127 characters without spaces")
	}
}

// checkBrokerFiles looks at the PEM files of the connection to RabbitMQ; nodes are none where AMQP_URL is wrong.
func (l *loader) checkBrokerFiles(nodes []rabbitmq.Node) {
	c := l.c
	ca, cert, key := c.AMQPCAFile, c.AMQPCertFile, c.AMQPKeyFile
	if cert != "" && key == "" {
		l.problem("AMQP_KEY_FILE", "is needed with %sAMQP_CERT_FILE", prefix)
	}
	if key != "" && cert == "" {
		l.problem("AMQP_CERT_FILE", "is needed with %sAMQP_KEY_FILE", prefix)
	}
	if len(nodes) > 0 && !slices.ContainsFunc(nodes, func(n rabbitmq.Node) bool { return n.Scheme == "amqps" }) {
		for _, f := range []struct{ name, path string }{{"AMQP_CA_FILE", ca}, {"AMQP_CERT_FILE", cert}, {"AMQP_KEY_FILE", key}} {
			if f.path != "" {
				l.problem(f.name, "is for TLS: %sAMQP_URL must be amqps:// then", prefix)
			}
		}
		return
	}
	if _, err := rabbitmq.LoadTLS(ca, "", ""); err != nil {
		l.problem("AMQP_CA_FILE", "must be a PEM file that can be read, with certificates: %v", err)
	}
	if cert != "" && key != "" {
		if _, err := rabbitmq.LoadTLS("", cert, key); err != nil {
			l.problem("AMQP_CERT_FILE", "must be a PEM file that can be read, with %sAMQP_KEY_FILE for its key: %v", prefix, err)
		}
	}
	if ca != "" || cert != "" {
		for _, n := range nodes {
			if n.CACertFile != "" || n.CertFile != "" {
				l.problem("AMQP_URL", "its parameters cacertfile, certfile and keyfile have no effect beside %[1]sAMQP_CA_FILE and %[1]sAMQP_CERT_FILE: leave one or the other out", prefix)
			}
		}
	}
}

func isName(s string, longest int) bool {
	return s != "" && len(s) <= longest && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == 0xfffd })
}

func (l *loader) checkDatabase() {
	direct := l.c.MigrateDatabaseURL.Reveal()
	if direct != "" {
		if err := checkPostgres(direct, ""); err != nil {
			l.problem("MIGRATE_DATABASE_URL", "%v", err)
			direct = ""
		}
	}
	if err := checkPostgres(l.c.DatabaseURL.Reveal(), direct); err != nil {
		l.problem("DATABASE_URL", "%v", err)
	}
}

func checkPostgres(address, direct string) error {
	parsed, err := pg.Parse(address, direct)
	if err != nil {
		return err
	}
	hosts := []string{parsed.ConnConfig.Host}
	for _, f := range parsed.ConnConfig.Fallbacks {
		hosts = append(hosts, f.Host)
	}
	for _, host := range hosts {
		if !strings.HasPrefix(host, "/") && !isHost(host) { // / is the folder of a socket
			return errors.New("has no name or address of a host in front of the port; want postgres://user:password@host:port/database")
		}
	}
	return nil
}

// checkCredentials refuses secrets that can't be what they are for: each request would fail.
func (l *loader) checkCredentials() {
	for _, f := range fields(l.settings.Type()) {
		if isSecret(f) {
			secret := Secret(l.settings.FieldByIndex(f.Index).String())
			if err := checkSecret(f, secret); err != nil {
				l.problem(f.Tag.Get("envconfig"), "%v", err)
			}
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
		{"MAGENTO_BULK_SIZE", c.MagentoBulkSize, 1, 10_000},
		{"MAGENTO_BULK_CONCURRENCY", c.MagentoBulkConcurrency, 1, 100},
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
		{"MAGENTO_BULK_TARGET", c.MagentoBulkTarget},
		{"ERP_TIMEOUT", c.ERPTimeout},
		{"SEARCH_TIMEOUT", c.SearchTimeout},
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
	if c.ReconcileEvery < 0 || (c.ReconcileEvery > 0 && c.ReconcileEvery < time.Second) {
		l.problem("RECONCILE_EVERY", "must be 0, or a duration of a second or more, such as 15m")
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

// checkMagento looks at what is set; checkNeeds at what is missing.
func (l *loader) checkMagento() {
	l.checkShop()
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

func (l *loader) checkShop() {
	c := l.c
	client, err := magentoapi.New("https://shop.example", magentoapi.Options{}) // for the rule of store codes
	if err == nil && c.MagentoURL != "" && l.checkURL("MAGENTO_URL", c.MagentoURL) {
		if _, err := magentoapi.New(c.MagentoURL, magentoapi.Options{}); err != nil {
			l.problem("MAGENTO_URL", "must be the shop's base address, with or without /rest: %v", err)
		}
	}
	if err == nil {
		_, err = client.Store(c.MagentoStoreCode)
	}
	if err != nil {
		l.problem("MAGENTO_STORE_CODE", "must be a store view's code (letters, digits, _, a letter first), or all")
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
	if l.c.ERPURL != "" {
		l.checkURL("ERP_URL", l.c.ERPURL)
	}
	if len(l.c.ERPReferencePrefix) > 50 {
		l.problem("ERP_REFERENCE_PREFIX", "must have at most 50 bytes")
	}
}

func (l *loader) checkTracking() {
	l.readProfiles()
	l.readServers()
	l.checkInbox("TRACKING_DIR", l.c.TrackingDir, "/srv/tracking")
	l.checkInbox("PRICE_DIR", l.c.PriceDir, "/srv/prices")
	l.checkInbox("STOCK_DIR", l.c.StockDir, "/srv/stock")
	l.checkInboxesDiffer()
	// Magento's rule for the code of a source (magento/inventory, Inventory/Model/Source/Validator/CodeValidator.php).
	if strings.ContainsFunc(l.c.TrackingSourceCode, unicode.IsSpace) {
		l.problem("TRACKING_SOURCE_CODE", "must be the code of an MSI source, which has no blank in it")
	}
	for _, p := range strings.Split(l.c.TrackingPattern, ",") {
		if _, err := filepath.Match(p, ""); err != nil || strings.TrimSpace(p) == "" || strings.Contains(p, "/") {
			l.problem("TRACKING_PATTERN", "must be globs of file names separated by commas, such as *.csv,*.txt")
			break
		}
	}
	if l.c.TrackingStill <= 0 {
		l.problem("TRACKING_STILL", "must be above 0, such as 10s")
	}
}

func (l *loader) checkInbox(name, dir, example string) {
	// One that is not there may be a share that is mounted later; check and the log say so.
	if info, err := os.Stat(dir); dir != "" && err == nil && !info.IsDir() {
		l.problem(name, "must be the path of a directory, such as %s", example)
	}
}

// checkInboxesDiffer refuses a directory whose files two would take.
func (l *loader) checkInboxesDiffer() {
	seen := map[string]string{}
	for _, box := range [][2]string{{"TRACKING_DIR", l.c.TrackingDir}, {"PRICE_DIR", l.c.PriceDir}, {"STOCK_DIR", l.c.StockDir}} {
		name, dir := box[0], box[1]
		if dir == "" {
			continue
		}
		dir = filepath.Clean(dir)
		if other := seen[dir]; other != "" {
			l.problem(name, "is the directory of %s, too: each needs one of its own", other)
		}
		seen[dir] = name
	}
}

func (l *loader) checkURL(name, value string) bool {
	_, err := parseHTTP(value, false)
	if err != nil {
		l.problem(name, "%v; want http://host/path or https://host/path, without user, query or fragment", err)
	}
	return err == nil
}

func (l *loader) checkNeeds(need Need) {
	magento, erp, search := need == Magento, false, false
	if need == EnabledConsumers {
		for _, c := range l.c.EnabledConsumers() {
			magento, erp, search = magento || c.Uses(DownstreamMagento), erp || c.Uses(DownstreamERP), search || c.Uses(DownstreamSearch)
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
	if erp {
		l.checkConnectorNeeds()
	}
	if search {
		l.checkSearchNeeds()
	}
}
