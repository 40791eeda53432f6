package e2e

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/test/kit/replica"
)

// Credentials of the simulated shop and ERP, and passwords in URLs. None may be in any log.
const (
	magentoToken     = "shop-token-Geheim-4711"
	erpToken         = "erp-token-Geheim-4712"
	erpSecret        = "erp-signing-Geheim-4713"
	databasePassword = "pg-Geheim-4714"
	brokerPassword   = "mq-Geheim-4715"
	adminPassword    = "admin-Geheim-4716"
	proxyPassword    = "proxy-Geheim-4717"
)

// forbidden is what no log and no dead letter's error may hold: the credentials, and the people of the fixtures (those of
// fakemagento's orders and of mapping's golden files).
var forbidden = sync.OnceValues(func() ([]string, error) {
	all := []string{
		magentoToken, erpToken, erpSecret, databasePassword, brokerPassword, adminPassword, "Geheim-47",
		"Vesna", "Testperson", "vesna@", "fixture.example", "Geheimweg",
		"30 5550199", // seven digits alone are in one of ten million times of the day
	}
	list, err := os.ReadFile("../../mapping/testdata/PERSONAL.txt")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(list)) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	for _, word := range all {
		all = append(all, strings.ReplaceAll(word, " ", "")) // as a telephone number may have been made of it
	}
	return all, nil
})

// check looks for the same in what mageline shows elsewhere.
func check(t testing.TB, what, text string) {
	t.Helper()
	words, err := forbidden()
	if err != nil {
		t.Fatal(err)
	}
	text = strings.ToLower(text)
	for _, word := range words {
		if strings.Contains(text, strings.ToLower(word)) {
			t.Errorf("%s holds %q, a secret or personal data: %s", what, word, text)
		}
	}
}

// searchLogs looks into everything that any process has written in any test.
func searchLogs() error {
	words, err := forbidden()
	if err != nil {
		return err
	}
	var found []error
	err = program.Lines(func(file, line string) {
		lower := strings.ToLower(line)
		for _, word := range words {
			if strings.Contains(lower, strings.ToLower(word)) {
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

// checkLetter looks into what mageline has written on a dead letter; the body is the event as it came.
func checkLetter(t *testing.T, d *amqp.Delivery) {
	t.Helper()
	for name, value := range d.Headers {
		check(t, "the header "+name+" of a dead letter", fmt.Sprint(value))
	}
}
