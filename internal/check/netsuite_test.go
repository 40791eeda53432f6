package check_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/internal/check"
)

func TestNetSuite_SaysWhatEnds(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	end := time.Date(2027, 6, 1, 0, 0, 0, 0, time.UTC)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: end}, &x509.Certificate{}, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "certificate.pem")
	write := func(name string, text []byte) string {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	write(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	at := func(d time.Duration) func() time.Time { return func() time.Time { return end.Add(d) } }
	for name, tt := range map[string]struct {
		look   check.NetSuite
		status check.Status
		text   string
	}{
		"token-based":    {check.NetSuite{TokenBased: true}, check.Warn, "2027.1"},
		"no certificate": {check.NetSuite{}, check.Unknown, "MAGELINE_NETSUITE_CERTIFICATE"},
		"no file":        {check.NetSuite{Certificate: path + ".none"}, check.Unknown, "no such file"},
		"something else": {check.NetSuite{Certificate: write(path+".txt", []byte("x"))}, check.Unknown, "no certificate"},
		"good":           {check.NetSuite{Certificate: path, Now: at(-60 * 24 * time.Hour)}, check.OK, "2027-06-01"},
		"soon":           {check.NetSuite{Certificate: path, Now: at(-24 * time.Hour)}, check.Warn, "second certificate"},
		"over":           {check.NetSuite{Certificate: path, Now: at(time.Hour)}, check.Fail, "has ended"},
	} {
		found := tt.look.Check(t.Context())
		if len(found) != 1 || found[0].Status != tt.status || !strings.Contains(found[0].String(), tt.text) {
			t.Errorf("%s: %v, want %s with %q", name, found, tt.status, tt.text)
		}
	}
}
