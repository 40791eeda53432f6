package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Credentials of the simulated shop and ERP, and passwords in URLs. None may be in any log.
const (
	magentoToken     = "shop-token-Geheim-4711"
	erpToken         = "erp-token-Geheim-4712"
	erpSecret        = "erp-signing-Geheim-4713"
	databasePassword = "pg-Geheim-4714"
	brokerPassword   = "mq-Geheim-4715"
	adminPassword    = "admin-Geheim-4716"
)

// forbidden is what no log and no dead letter's error may hold: the credentials, and the people of the fixtures (those of
// fakemagento's orders and of mapping's golden files).
var forbidden = sync.OnceValues(func() ([]string, error) {
	all := []string{
		magentoToken, erpToken, erpSecret, databasePassword, brokerPassword, adminPassword, "Geheim-47",
		"Vesna", "Testperson", "vesna@", "fixture.example", "Geheimweg", "5550199",
	}
	list, err := os.ReadFile("../mapping/testdata/PERSONAL.txt")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(list)) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all, nil
})

// check looks for the same in what mageline shows elsewhere.
func check(t *testing.T, what, text string) {
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
func searchLogs(dir string) error {
	words, err := forbidden()
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return err
	}
	var found []error
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for line := range bytes.Lines(content) {
			for _, word := range words {
				if bytes.Contains(bytes.ToLower(line), bytes.ToLower([]byte(word))) {
					found = append(found, fmt.Errorf("%s holds %q, a secret or personal data: %s", filepath.Base(name), word, line))
				}
			}
			if bytes.Contains(line, []byte("DATA RACE")) || bytes.HasPrefix(line, []byte("panic:")) {
				found = append(found, fmt.Errorf("%s: %s", name, line))
			}
		}
	}
	if len(found) > 20 {
		found = append(found[:20], fmt.Errorf("and %d more", len(found)-20))
	}
	return errors.Join(found...)
}

// checkLetter looks into what mageline has written on a dead letter; the body is the event as it came.
func checkLetter(t *testing.T, d *amqp.Delivery) {
	t.Helper()
	for name, value := range d.Headers {
		check(t, "the header "+name+" of a dead letter", fmt.Sprint(value))
	}
}
