package rabbitmq_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/rabbitmq"
	"github.com/mageline/mageline/test/kit"
)

const password = "hunter2"

func TestParseURL_ReadsAndRefusesAddresses(t *testing.T) {
	noPEM := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(noPEM, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		list  string // with %s for the user and password
		hosts string // "" for an error
		says  string
	}{
		{"amqp://%sbroker", "broker:5672", ""},
		{"amqps://%sbroker/shop", "broker:5671", ""},
		{"amqp://%sbroker:5673/%%2F", "broker:5673", ""},
		{"amqp://%s[::1]:5672/", "[::1]:5672", ""},
		{"amqp://%s[fe80::1%%25eth0]/", "[fe80::1%eth0]:5672", ""},
		{"amqp://%srabbit_1.internal/?heartbeat=0&connection_timeout=5000&channel_max=0", "rabbit_1.internal:5672", ""},
		{"amqp://%sa/v,amqp://%sb:1/v, amqps://%sc/v", "a:5672,b:1,c:5671", ""},
		{"amqp://u:a,b@c", "c:5672", ""},
		{"amqp://u:a,b@c,amqp://u:a,b@d", "c:5672,d:5672", ""},
		{"amqp://%sbücher.example/", "bücher.example:5672", ""},

		{"", "", "amqp://"},
		{"broker:5672", "", "amqp://"},
		{"http://%sbroker", "", "amqp://"},
		{"AMQPS//%sbroker", "", "amqp://"},
		{"amqp://%s", "", "no host"},
		{"amqp:///shop", "", "no host"},
		{"amqp://%s:5672/", "", "no host"},
		{"amqp://%s::1:5672/", "", "[::1]:5672"},
		{"amqp://%sbroker:0/", "", "1 to 65535"},
		{"amqp://%sbroker:65536/", "", "1 to 65535"},
		{"amqp://%sbroker:amqp/", "", "want amqp://"},
		{"amqp://%sbro ker/", "", "blank"},
		{"amqp://%sbroker/my vhost", "", "blank"},
		{"amqp://%sbroker/\n", "", "blank"},
		{"amqp://%sbroker/#vhost", "", "%23"},
		{"amqp://u:pa#ss@broker/", "", "want amqp://"},
		{"amqp://u:pa/ss@broker/", "", "want amqp://"},
		{"amqp://u:pa%%zz@broker/", "", "want amqp://"},
		{"amqp://%sbroker/?heartbeat=abc", "", "heartbeat"},
		{"amqp://%sbroker/?heartbeat=", "", "heartbeat"},
		{"amqp://%sbroker/?heartbeat=10s", "", "heartbeat"},
		{"amqp://%sbroker/?heartbeat=-1", "", "heartbeat"},
		{"amqp://%sbroker/?heartbeat=65536", "", "heartbeat"},
		{"amqp://%sbroker/?connection_timeout=5s", "", "connection_timeout"},
		{"amqp://%sbroker/?channel_max=2", "", "channel_max"},
		{"amqp://%sbroker/?channel_max=x", "", "channel_max"},
		{"amqp://%sbroker/?auth_mechanism=scram", "", "auth_mechanism"},
		{"amqp://%sbroker/?hearbeat=10", "", "hearbeat"},
		{"amqp://%sbroker/?heartbeat=%%zz", "", "parameters"},
		{"amqp://%sbroker/?cacertfile=" + noPEM, "", "amqps"},
		{"amqps://%sbroker/?cacertfile=" + noPEM, "", "no certificate"},
		{"amqps://%sbroker/?cacertfile=/there/is/none.pem", "", "/there/is/none.pem"},
		{"amqps://%sbroker/?certfile=" + noPEM, "", "keyfile"},
		{"amqp://%sa,", "", "last comma"},
		{"amqp://%sa,b", "", "several nodes"},
		{"amqp://%sa,b:5672/", "", "several"},
		{"amqp://%sa,http://%sb", "", ""},
		{"amqp://%sa,amqp://%sb:x", "", "address 2 of 2"},
		{"amqp://%sa,amqp://b", "", "those of the first"},
		{"amqp://%sa/v,amqp://%sb/w", "", "those of the first"},
	}
	for _, tt := range tests {
		list := strings.ReplaceAll(strings.ReplaceAll(tt.list, "%%", "%"), "%s", "user:"+password+"@")
		nodes, err := rabbitmq.ParseURL(list)
		switch {
		case tt.hosts != "" && (err != nil || rabbitmq.HostPort(list) != tt.hosts || len(nodes) != strings.Count(tt.hosts, ",")+1):
			t.Errorf("%q: %s, %v", list, rabbitmq.HostPort(list), err)
		case tt.hosts == "" && (err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), password)):
			t.Errorf("%q: %v, want %q", list, err, tt.says)
		case tt.hosts == "" && rabbitmq.HostPort(list) != "?":
			t.Errorf("%q has the broker %s", list, rabbitmq.HostPort(list))
		}
	}
}

func FuzzParseURL(f *testing.F) {
	f.Add("amqp://user:hunter2@a/v,amqps://user:hunter2@[::1]:1/v?heartbeat=5")
	f.Fuzz(func(t *testing.T, list string) {
		nodes, err := rabbitmq.ParseURL(list)
		if err == nil && len(nodes) == 0 {
			t.Error("no nodes, and no error")
		}
		for _, n := range nodes {
			if n.Host == "" || n.Port < 1 || n.Port > 65535 {
				t.Errorf("%+v", n)
			}
		}
	})
}

// Of several nodes one that takes a connection is found, whichever is asked first; with none, each says why.
func TestDial_TriesEachNode(t *testing.T) {
	t.Parallel()
	broker := kit.Broker(t)
	gone := "amqp://guest:guest@127.0.0.1:1/"
	for range 10 {
		conn, err := rabbitmq.Dial(t.Context(), rabbitmq.Options{URL: gone + "," + broker.URL + ", " + gone}, "test")
		if err != nil {
			t.Fatal(err)
		}
		rabbitmq.Close(conn)
	}
	_, err := rabbitmq.Dial(t.Context(), rabbitmq.Options{URL: gone + ",amqp://guest:guest@[::1]:2/"}, "test")
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1:1,") || !strings.Contains(err.Error(), "[::1]:2,") || strings.Contains(err.Error(), "\n") {
		t.Errorf("two that are gone: %v", err)
	}
	wrong := strings.Replace(broker.URL, "guest:guest", "guest:"+password, 1)
	_, err = rabbitmq.Dial(t.Context(), rabbitmq.Options{URL: wrong + "," + wrong}, "test")
	var refused *amqp.Error
	if !errors.As(err, &refused) || refused.Code != amqp.AccessRefused || strings.Contains(err.Error(), password) {
		t.Errorf("two that refuse: %v", err)
	}
}

// What RabbitMQ says of each limit (3.10) has the hint that helps, and not the one for another refusal of that code.
func TestExplain_NamesTheLimitReached(t *testing.T) {
	tests := []struct {
		code         int
		reason, says string
	}{
		{406, "PRECONDITION_FAILED - cannot declare queue 'a': queue limit in vhost 'small' (2) is reached", "max-queues"},
		{530, "NOT_ALLOWED - access to vhost 'small' refused for user 'guest': connection limit (1) is reached", "set_vhost_limits, max-connections"},
		{530, "NOT_ALLOWED - connection refused for user 'guest': user connection limit (1) is reached", "set_user_limits, max-connections"},
		{530, "NOT_ALLOWED - number of channels opened for user 'guest' has reached the maximum allowed user limit of (0)", "max-channels"},
		{530, "NOT_ALLOWED - vhost none not found", "correct the vhost"},
		{530, "NOT_ALLOWED - access to vhost 'small' refused for user 'guest'", "correct the vhost"},
		{406, "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'q' in vhost '/': received none but current is the value '5' of type 'signedint'", "delete it"},
		{406, "PRECONDITION_FAILED - unknown delivery tag 7", ""},
	}
	for _, tt := range tests {
		err := error(&amqp.Error{Code: tt.code, Reason: tt.reason, Server: true})
		told := strings.TrimPrefix(rabbitmq.Explain(err).Error(), err.Error())
		if !strings.Contains(told, tt.says) || tt.says == "" && told != "" || tt.says != "delete it" && strings.Contains(told, "delete it") {
			t.Errorf("%s: %s", tt.reason, told)
		}
		if got := rabbitmq.IsLimit(err); got != strings.Contains(tt.says, "max-") {
			t.Errorf("%s is a limit: %t", tt.reason, got)
		}
	}
}
