// Package config is mageline's environment: every variable with its type, default and meaning, in one struct that is
// read and checked as a whole, so that all that is wrong is said at once and before anything is connected to. The other
// packages know nothing of variables; cmd/mageline hands each its part.
package config

import (
	"time"

	"github.com/mageline/mageline/internal/sftp"
	"github.com/mageline/mageline/internal/tracking"
)

// prefix is before each variable's name.
const prefix = "MAGELINE_"

// Config holds every variable of docs/configuration.md. The tags of a field are the variable's name without prefix, its
// default and its meaning; a field without them is none. A new variable is a new field, and no other edit.
type Config struct {
	AMQPURL      Secret `envconfig:"AMQP_URL" secret:"address" default:"amqp://guest:guest@127.0.0.1:5672/" meaning:"RabbitMQ; amqps:// with the system's roots or the files below; several, separated by commas, are the nodes of a cluster, tried in random order at each connection"`
	AMQPCAFile   string `envconfig:"AMQP_CA_FILE" meaning:"PEM file with the roots that RabbitMQ's certificate is checked against"`
	AMQPCertFile string `envconfig:"AMQP_CERT_FILE" meaning:"PEM file with the client's certificate, with AMQP_KEY_FILE"`
	AMQPKeyFile  string `envconfig:"AMQP_KEY_FILE" meaning:"PEM file with the client certificate's key"`

	AMQPExchange string    `envconfig:"AMQP_EXCHANGE" default:"magento" meaning:"the topic exchange that Magento publishes to; declared if it is not there"`
	QueuePrefix  string    `envconfig:"QUEUE_PREFIX" default:"mageline" meaning:"first part of every queue's name"`
	QueueType    QueueType `envconfig:"QUEUE_TYPE" default:"quorum" meaning:"of the queues that are declared"`
	Consumers    Names     `envconfig:"CONSUMERS" default:"all" meaning:"the consumers that this deployment runs"`
	Bindings     Bindings  `envconfig:"BINDINGS" meaning:"consumer:topic pairs that replace the default topics of the consumers they name"`

	AMQPManagementURL Secret `envconfig:"AMQP_MANAGEMENT_URL" secret:"address" meaning:"RabbitMQ's HTTP API, http://user:password@host:15672, for what AMQP does not tell: policies, the alternate exchange, whether a binding is there; needs the tag policymaker"`

	Prefetch        int           `envconfig:"PREFETCH" default:"64" meaning:"unacknowledged deliveries for each consumer"`
	Concurrency     int           `envconfig:"CONCURRENCY" default:"16" meaning:"handlers at once for each consumer"`
	RetryDelays     Delays        `envconfig:"RETRY_DELAYS" default:"5s,30s,2m,10m,1h" meaning:"waits between attempts; the number of attempts is one more"`
	HandlerTimeout  time.Duration `envconfig:"HANDLER_TIMEOUT" default:"60s" meaning:"for one attempt without progress"`
	MemoryLimit     Bytes         `envconfig:"MEMORY_LIMIT" default:"256MiB" meaning:"bodies of messages that the process holds"`
	ShutdownTimeout time.Duration `envconfig:"SHUTDOWN_TIMEOUT" default:"25s" meaning:"to finish what is in flight on SIGTERM"`

	DatabaseURL          Secret        `envconfig:"DATABASE_URL" secret:"address" default:"postgres://127.0.0.1:5432/postgres" meaning:"Postgres 13 or newer; every pgx parameter works"`
	MigrateDatabaseURL   Secret        `envconfig:"MIGRATE_DATABASE_URL" secret:"address" meaning:"direct connection for migrations and advisory locks, where DATABASE_URL is a pooler in transaction mode; with it nothing on DATABASE_URL depends on the connection"`
	Migrate              bool          `envconfig:"MIGRATE" default:"true" meaning:"migrate the database at start"`
	IdempotencyLease     time.Duration `envconfig:"IDEMPOTENCY_LEASE" default:"90s" meaning:"after which another replica may take over a claim; at least HANDLER_TIMEOUT + 5s"`
	IdempotencyRetention time.Duration `envconfig:"IDEMPOTENCY_RETENTION" default:"2160h" meaning:"how long finished keys are kept"`

	MagentoURL               string        `envconfig:"MAGENTO_URL" meaning:"Magento's base address, with or without /rest"`
	MagentoStoreCode         string        `envconfig:"MAGENTO_STORE_CODE" default:"all" meaning:"store view in /rest/<code>/V1/"`
	MagentoToken             Secret        `envconfig:"MAGENTO_TOKEN" meaning:"integration token as bearer; or the four OAuth values; or a user"`
	MagentoConsumerKey       Secret        `envconfig:"MAGENTO_CONSUMER_KEY" meaning:"OAuth 1.0a: consumer key of the integration"`
	MagentoConsumerSecret    Secret        `envconfig:"MAGENTO_CONSUMER_SECRET" meaning:"OAuth 1.0a: consumer secret of the integration"`
	MagentoAccessToken       Secret        `envconfig:"MAGENTO_ACCESS_TOKEN" meaning:"OAuth 1.0a: access token of the integration"`
	MagentoAccessTokenSecret Secret        `envconfig:"MAGENTO_ACCESS_TOKEN_SECRET" meaning:"OAuth 1.0a: access token secret of the integration"`
	MagentoUsername          string        `envconfig:"MAGENTO_USERNAME" meaning:"admin user, whose token is fetched and renewed by itself"`
	MagentoPassword          Secret        `envconfig:"MAGENTO_PASSWORD" secret:"password" meaning:"password of the admin user"`
	MagentoTimeout           time.Duration `envconfig:"MAGENTO_TIMEOUT" default:"30s" meaning:"one request to Magento"`
	MagentoRateLimit         float64       `envconfig:"MAGENTO_RATE_LIMIT" default:"0" meaning:"requests to Magento a second, by this process; 0 is unlimited"`
	MagentoTimezone          Timezone      `envconfig:"MAGENTO_TIMEZONE" default:"UTC" meaning:"of the store, where its configuration can't be read"`

	OrderSource         OrderSource   `envconfig:"ORDER_SOURCE" default:"fetch" meaning:"fetch: the order is always read from Magento; payload: a whole order in the event is trusted (docs/orders.md)"`
	OrderExportStates   ExportStates  `envconfig:"ORDER_EXPORT_STATES" default:"processing,complete,new:checkmo,new:cashondelivery,new:purchaseorder,new:companycredit,new:free" meaning:"orders in these states go out; state, or state:payment_method"`
	OrderExportStores   Stores        `envconfig:"ORDER_EXPORT_STORES" default:"all" meaning:"store ids whose orders go out"`
	OrderExportFrom     Instant       `envconfig:"ORDER_EXPORT_FROM" meaning:"orders created before it are skipped"`
	OrderWaitEvery      time.Duration `envconfig:"ORDER_WAIT_EVERY" default:"5m" meaning:"how often waiting orders are read again"`
	OrderWaitMax        time.Duration `envconfig:"ORDER_WAIT_MAX" default:"720h" meaning:"how long an order may wait before it is given up"`
	ReconcileEvery      time.Duration `envconfig:"RECONCILE_EVERY" default:"15m" with:"MAGENTO_URL" meaning:"look for orders whose event never came, on one replica at a time; 0 is off, and the default where no MAGELINE_MAGENTO_URL is set"`
	OrderKey            OrderKey      `envconfig:"ORDER_KEY" default:"increment_id" meaning:"the business key; store_increment_id for shops whose stores count alike"`
	OrderComment        bool          `envconfig:"ORDER_COMMENT" default:"true" meaning:"tell Magento of the document in a comment"`
	OrderCommentFailed  bool          `envconfig:"ORDER_COMMENT_FAILED" default:"true" meaning:"tell Magento, in a comment, of an order that was dead-lettered"`
	OrderStatusExported StatusByState `envconfig:"ORDER_STATUS_EXPORTED" meaning:"status set together with comments, as processing:exported; one without a state is for any state; needs ORDER_COMMENT"`

	ERP                ERP            `envconfig:"ERP" default:"webhook" meaning:"the ERP connector"`
	ERPURL             string         `envconfig:"ERP_URL" meaning:"base address of the webhook ERP"`
	ERPToken           Secret         `envconfig:"ERP_TOKEN" meaning:"bearer token that the webhook ERP is sent"`
	ERPSecret          Secret         `envconfig:"ERP_SECRET" secret:"key" meaning:"key of the signature that the webhook ERP is sent"`
	ERPName            string         `envconfig:"ERP_NAME" meaning:"the ERP's name in Magento's comments; the connector's if unset"`
	ERPTimeout         time.Duration  `envconfig:"ERP_TIMEOUT" default:"30s" meaning:"one request to the ERP"`
	ERPRateLimit       float64        `envconfig:"ERP_RATE_LIMIT" default:"0" meaning:"requests to the ERP a second, by this process; 0 is unlimited"`
	ERPConcurrency     int            `envconfig:"ERP_CONCURRENCY" default:"16" meaning:"requests to the ERP at once, by this process; if unset 4 for the others than webhook"`
	ERPReferencePrefix string         `envconfig:"ERP_REFERENCE_PREFIX" meaning:"before every external reference"`
	ShipmentReport     ShipmentReport `envconfig:"SHIPMENT_REPORT" default:"all" meaning:"which shipments the ERP is told of: all, or magento: not those that mageline made from tracking numbers"`
	ERPUncertainWait   time.Duration  `envconfig:"ERP_UNCERTAIN_WAIT" default:"0" meaning:"that long after an uncertain create the ERP is only asked, never sent to again; if unset 15m for sap and netsuite, 10m for businesscentral and finops"`
	ERPMapping         string         `envconfig:"ERP_MAPPING" meaning:"YAML file with the shop's codes, for the others than webhook; read again when it changes"`

	SAPURL          string `envconfig:"SAP_URL" meaning:"address of the S/4HANA system, such as https://my300000-api.s4hana.cloud.sap"`
	SAPUsername     string `envconfig:"SAP_USERNAME" meaning:"communication user; or OAuth"`
	SAPPassword     Secret `envconfig:"SAP_PASSWORD" secret:"password" meaning:"password of the communication user"`
	SAPTokenURL     string `envconfig:"SAP_TOKEN_URL" meaning:"where OAuth's tokens come from (client credentials), in place of user and password"`
	SAPClientID     string `envconfig:"SAP_CLIENT_ID" meaning:"OAuth: id of the client"`
	SAPClientSecret Secret `envconfig:"SAP_CLIENT_SECRET" secret:"password" meaning:"OAuth: secret of the client"`
	SAPScope        string `envconfig:"SAP_SCOPE" meaning:"OAuth: scope, where the server wants one"`
	SAPAPIKey       Secret `envconfig:"SAP_API_KEY" meaning:"key for an API management in front, sent as APIKey"`
	SAPClient       string `envconfig:"SAP_CLIENT" meaning:"sap-client, three figures; the system's default if unset"`
	SAPLanguage     string `envconfig:"SAP_LANGUAGE" default:"EN" meaning:"language of texts and messages, two letters"`
	SAPLockCodes    string `envconfig:"SAP_LOCK_CODES" meaning:"codes of messages that tell of a locked document, as V1/042,V1/043: such a request is sent again"`

	NetSuiteURL            string       `envconfig:"NETSUITE_URL" meaning:"the account's address of SuiteTalk, such as https://1234567.suitetalk.api.netsuite.com"`
	NetSuiteAuth           NetSuiteAuth `envconfig:"NETSUITE_AUTH" default:"oauth2" meaning:"how NetSuite is logged on to: OAuth 2.0 with a certificate, or token-based authentication, which ends"`
	NetSuiteClientID       string       `envconfig:"NETSUITE_CLIENT_ID" meaning:"OAuth 2.0: client id of the integration record"`
	NetSuiteCertificateID  string       `envconfig:"NETSUITE_CERTIFICATE_ID" meaning:"OAuth 2.0: id of the certificate in the client credentials mapping"`
	NetSuitePrivateKey     Secret       `envconfig:"NETSUITE_PRIVATE_KEY" secret:"key" meaning:"OAuth 2.0: private key of the certificate, in PEM; best as a file"`
	NetSuiteCertificate    string       `envconfig:"NETSUITE_CERTIFICATE" meaning:"OAuth 2.0: path of the certificate in PEM, of which check reads when it ends"`
	NetSuiteAccount        string       `envconfig:"NETSUITE_ACCOUNT" meaning:"token-based authentication: account id in its own form, such as 1234567_SB1"`
	NetSuiteConsumerKey    Secret       `envconfig:"NETSUITE_CONSUMER_KEY" meaning:"token-based authentication: consumer key of the integration record"`
	NetSuiteConsumerSecret Secret       `envconfig:"NETSUITE_CONSUMER_SECRET" meaning:"token-based authentication: consumer secret of the integration record"`
	NetSuiteTokenID        Secret       `envconfig:"NETSUITE_TOKEN_ID" meaning:"token-based authentication: id of the access token"`
	NetSuiteTokenSecret    Secret       `envconfig:"NETSUITE_TOKEN_SECRET" meaning:"token-based authentication: secret of the access token"`

	BusinessCentralURL          string `envconfig:"BUSINESSCENTRAL_URL" meaning:"address of Business Central's API, up to and with /api/v2.0"`
	BusinessCentralCompany      string `envconfig:"BUSINESSCENTRAL_COMPANY" meaning:"the company's id or name"`
	BusinessCentralTenant       string `envconfig:"BUSINESSCENTRAL_TENANT" meaning:"Microsoft Entra tenant of the app registration, its id or domain"`
	BusinessCentralTokenURL     string `envconfig:"BUSINESSCENTRAL_TOKEN_URL" meaning:"where access tokens are asked for; that of the tenant at login.microsoftonline.com if unset"`
	BusinessCentralClientID     string `envconfig:"BUSINESSCENTRAL_CLIENT_ID" meaning:"client id of the app registration"`
	BusinessCentralClientSecret Secret `envconfig:"BUSINESSCENTRAL_CLIENT_SECRET" secret:"password" meaning:"client secret of the app registration"`
	BusinessCentralScope        string `envconfig:"BUSINESSCENTRAL_SCOPE" default:"https://api.businesscentral.dynamics.com/.default" meaning:"scope of the access tokens"`
	BusinessCentralUsername     string `envconfig:"BUSINESSCENTRAL_USERNAME" meaning:"user of an installation of one's own, in place of the app registration"`
	BusinessCentralAccessKey    Secret `envconfig:"BUSINESSCENTRAL_ACCESS_KEY" secret:"password" meaning:"web service access key of that user"`

	FinOpsURL          string `envconfig:"FINOPS_URL" meaning:"address of the Finance & Operations environment, without /data"`
	FinOpsCompany      string `envconfig:"FINOPS_COMPANY" meaning:"the legal entity, such as usmf"`
	FinOpsTenant       string `envconfig:"FINOPS_TENANT" meaning:"Microsoft Entra tenant of the app registration, its id or domain"`
	FinOpsTokenURL     string `envconfig:"FINOPS_TOKEN_URL" meaning:"where access tokens are asked for; that of the tenant at login.microsoftonline.com if unset"`
	FinOpsClientID     string `envconfig:"FINOPS_CLIENT_ID" meaning:"client id of the app registration"`
	FinOpsClientSecret Secret `envconfig:"FINOPS_CLIENT_SECRET" secret:"password" meaning:"client secret of the app registration"`
	FinOpsScope        string `envconfig:"FINOPS_SCOPE" meaning:"scope of the access tokens; that of the environment if unset"`

	TrackingDir            string           `envconfig:"TRACKING_DIR" meaning:"the inbox: the directory into which a 3PL's files are dropped; processed/ and failed/ are made beneath it"`
	TrackingPattern        string           `envconfig:"TRACKING_PATTERN" default:"*.csv,*.txt,*.tsv" meaning:"globs of the names of files in the inbox, separated by commas; case does not count"`
	TrackingStill          time.Duration    `envconfig:"TRACKING_STILL" default:"10s" meaning:"how long a file that its writer has closed must have been still before it is read; three times that where the system does not tell of the closing"`
	TrackingProfiles       string           `envconfig:"TRACKING_PROFILES" meaning:"YAML file with the profiles of the shop's 3PLs (docs/tracking-profiles.md)"`
	TrackingSFTP           string           `envconfig:"TRACKING_SFTP" meaning:"YAML file with the SFTP servers that files are picked up from (docs/tracking-sftp.md)"`
	TrackingColumns        TrackingColumns  `envconfig:"TRACKING_COLUMNS" meaning:"for one 3PL without a profile: the file's own names of columns, as order_number=Auftragsnr.,tracking_number=Sendungsnr.; or their numbers from 1, for files without a header; - for none"`
	TrackingCarriers       TrackingCarriers `envconfig:"TRACKING_CARRIERS" meaning:"the file's carriers and Magento's codes, as DHL Paket=dhl,DPD DE=dpd; one that is not named becomes custom"`
	TrackingSourceCode     string           `envconfig:"TRACKING_SOURCE_CODE" meaning:"MSI source of shipments that mageline creates, if the row names none"`
	TrackingWhenNoShipment WhenNoShipment   `envconfig:"TRACKING_WHEN_NO_SHIPMENT" default:"create" meaning:"what becomes of a tracking number of an order that has no shipment for it: create makes one, wait waits until there is one"`
	TrackingNotify         bool             `envconfig:"TRACKING_NOTIFY" default:"false" meaning:"mail the customer once for each shipment that mageline creates, and once for each tracking number that is added later"`

	Send                   Send          `envconfig:"SEND" default:"changed" meaning:"changed: what Magento has is read in bulk, and only prices and stock that differ are written; all: everything is written"`
	MagentoBulkSize        int           `envconfig:"MAGENTO_BULK_SIZE" default:"500" meaning:"entries in one bulk call at most; lowered by itself where Magento takes fewer"`
	MagentoBulkTarget      time.Duration `envconfig:"MAGENTO_BULK_TARGET" default:"10s" meaning:"a bulk call that takes longer halves the size for its kind, one that takes less than a third of it doubles it, up to MAGENTO_BULK_SIZE"`
	MagentoBulkConcurrency int           `envconfig:"MAGENTO_BULK_CONCURRENCY" default:"2" meaning:"bulk calls that write at once, of all replicas together: Magento deadlocks under more"`
	PriceAllowZero         bool          `envconfig:"PRICE_ALLOW_ZERO" default:"false" meaning:"write prices of 0 too"`
	PriceMaxChange         Share         `envconfig:"PRICE_MAX_CHANGE" meaning:"a base or special price that differs by more from what Magento has, up or down, is held until a person decides (mageline prices); such as 50%"`
	PriceScope             PriceScope    `envconfig:"PRICE_SCOPE" default:"global" meaning:"as in the shop's Stores > Configuration > Catalog > Price: with website, special prices are written to every store view of the website"`
	PriceDir               string        `envconfig:"PRICE_DIR" meaning:"the inbox of price lists, which are sent as mageline import does; in folders base, special and tier beneath it lists of that type"`
	StockDir               string        `envconfig:"STOCK_DIR" meaning:"the inbox of lists of stock; in a folder of a source's code beneath it lists of that source"`
	StockBuffer            StockBuffer   `envconfig:"STOCK_BUFFER" meaning:"taken from the quantity of a source before it is written, never below 0, as default=2,berlin=5"`

	Search             Search           `envconfig:"SEARCH" default:"none" meaning:"the search engine that products are written to (docs/search.md)"`
	SearchURL          Addresses        `envconfig:"SEARCH_URL" meaning:"base address of OpenSearch or Elasticsearch, or of several nodes; for algolia only where its own hosts are not to be called"`
	SearchIndex        string           `envconfig:"SEARCH_INDEX" default:"products" meaning:"the index of the default store view's products; without effect beside SEARCH_STORES"`
	SearchStores       SearchStores     `envconfig:"SEARCH_STORES" meaning:"store views and the index of each, as de:products_de,fr:products_fr"`
	SearchAttributes   SearchAttributes `envconfig:"SEARCH_ATTRIBUTES" default:"auto" meaning:"attributes that become fields of their own, or auto: those that Magento searches, filters or sorts by; all others go into one list"`
	SearchGroupPrices  bool             `envconfig:"SEARCH_GROUP_PRICES" default:"false" meaning:"write the prices of customer groups into the documents: whoever may search can read them"`
	SearchSettle       time.Duration    `envconfig:"SEARCH_SETTLE" default:"5m" meaning:"how long after a change of price or stock by mageline a product is read for the second time, as Magento's indexes lag; 0 where Magento publishes when its indexes are done"`
	SearchUsername     string           `envconfig:"SEARCH_USERNAME" meaning:"user of OpenSearch or Elasticsearch; or a key, or a token, or none"`
	SearchPassword     Secret           `envconfig:"SEARCH_PASSWORD" secret:"password" meaning:"password of that user"`
	SearchAPIKey       Secret           `envconfig:"SEARCH_API_KEY" meaning:"API key: what stands behind ApiKey in the header of OpenSearch or Elasticsearch, or Algolia's key with the rights addObject, browse, deleteIndex, editSettings, search, settings"`
	SearchToken        Secret           `envconfig:"SEARCH_TOKEN" meaning:"bearer token for OpenSearch or Elasticsearch"`
	SearchApplication  string           `envconfig:"SEARCH_APPLICATION_ID" meaning:"Algolia's application id"`
	SearchDocumentSize int              `envconfig:"SEARCH_DOCUMENT_SIZE" default:"0" meaning:"bytes of one document at most; longer ones are cut (docs/search.md); 0: 100000 for algolia, 10000000 for the others"`
	SearchURLSuffix    string           `envconfig:"SEARCH_URL_SUFFIX" default:".html" meaning:"behind the URL key in a product's address, as in the shop's Stores > Configuration > Catalog > Search Engine Optimization (the REST API does not tell)"`
	SearchTimeout      time.Duration    `envconfig:"SEARCH_TIMEOUT" default:"30s" meaning:"one request to the search engine"`
	SkipUnchanged      bool             `envconfig:"SKIP_UNCHANGED" default:"true" meaning:"leave out documents that are equal to what was last written"`

	BreakerFailures int           `envconfig:"BREAKER_FAILURES" default:"5" meaning:"consecutive failures of one downstream that open its circuit; 0: no circuit"`
	BreakerOpenFor  time.Duration `envconfig:"BREAKER_OPEN_FOR" default:"30s" meaning:"until a probe is let through"`

	HTTPAddr  string    `envconfig:"HTTP_ADDR" default:":8080" meaning:"health and metrics; empty is off"`
	LogLevel  LogLevel  `envconfig:"LOG_LEVEL" default:"info" meaning:"the least that is logged"`
	LogFormat LogFormat `envconfig:"LOG_FORMAT" default:"json" meaning:"of the log, which goes to stderr"`

	// Warnings are what is odd and does no harm, such as a variable that this build does not know.
	Warnings []string

	consumers   []Consumer          // all that there are
	profiles    []*tracking.Profile // of TRACKING_PROFILES
	servers     []sftp.Server       // of TRACKING_SFTP
	secretFiles map[string]string   // the path of each secret that was given as a file, by the variable's full name
}

// Need says what a command goes on to use, and so what must be set.
type Need int

const (
	// Nothing is for commands that use RabbitMQ and Postgres at most: these have defaults.
	Nothing Need = iota
	// Magento is for commands that call Magento themselves.
	Magento
	// EnabledConsumers is for commands that use what the enabled consumers use.
	EnabledConsumers
)
