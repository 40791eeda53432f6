package env

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/test/kit/replica"
)

// Credentials of the simulated shop and ERP, and passwords in URLs. None may be in any log.
const (
	ShopToken        = "shop-token-Geheim-4711"
	ERPToken         = "erp-token-Geheim-4712"
	ERPSecret        = "erp-signing-Geheim-4713"
	DatabasePassword = "pg-Geheim-4714"
	BrokerPassword   = "mq-Geheim-4715"
	AdminPassword    = "admin-Geheim-4716"
	ProxyPassword    = "proxy-Geheim-4717"
)

// forbidden is what no log and no dead letter's error may hold: the credentials, and the people of the fixtures (those of
// fakemagento's orders and of mapping's golden files).
var forbidden = sync.OnceValues(func() ([]string, error) {
	all := []string{
		"Geheim-47", "Vesna", "Testperson", "vesna@", "fixture.example", "Geheimweg",
		"30 5550199", // seven digits alone are in one of ten million times of the day
	}
	_, here, _, ok := runtime.Caller(0)
	if !ok {
		return nil, errors.New("no path to the tests")
	}
	list, err := os.ReadFile(filepath.Join(filepath.Dir(here), "../../../mapping/testdata/PERSONAL.txt"))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(list)) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	for i, word := range all {
		all[i] = strings.ToLower(word)
		if joined := strings.ReplaceAll(all[i], " ", ""); joined != all[i] { // as a telephone number may have been made of it
			all = append(all, joined)
		}
	}
	return all, nil
})

// Check fails the test when what mageline shows holds a secret or personal data.
func Check(t testing.TB, what, text string) {
	t.Helper()
	words, err := forbidden()
	if err != nil {
		t.Fatal(err)
	}
	text = strings.ToLower(text)
	for _, word := range words {
		if strings.Contains(text, word) {
			t.Errorf("%s holds %q, a secret or personal data: %s", what, word, text)
		}
	}
}

// CheckLetter looks into what mageline has written on a dead letter; the body is the event as it came.
func CheckLetter(t testing.TB, d *amqp.Delivery) {
	t.Helper()
	for name, value := range d.Headers {
		Check(t, "the header "+name+" of a dead letter", fmt.Sprint(value))
	}
}

// SearchLogs looks into everything that any process of a program has written in any test: for data races and panics, secrets
// and personal data.
func SearchLogs(program *replica.Program) error {
	words, err := forbidden()
	if err != nil {
		return err
	}
	var found []error
	err = program.Lines(func(file, line string) {
		lower := strings.ToLower(line)
		for _, word := range words {
			if strings.Contains(lower, word) {
				found = append(found, fmt.Errorf("%s holds %q, a secret or personal data: %s", file, word, line))
			}
		}
		if replica.Bug(line) {
			found = append(found, fmt.Errorf("%s: %s", file, line))
		}
	})
	if len(found) > 20 {
		found = append(found[:20], fmt.Errorf("and %d more", len(found)-20))
	}
	return errors.Join(err, errors.Join(found...))
}
