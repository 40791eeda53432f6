package check

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"os"
	"time"
)

// NetSuite looks at how NetSuite is logged on to: both ways end some day.
type NetSuite struct {
	TokenBased bool
	// Certificate is the path of the certificate in PEM; empty for none.
	Certificate string
	// Now tells the time; nil is time.Now.
	Now func() time.Time
}

// soon is how long before its end a certificate is to be replaced.
const soon = 30 * 24 * time.Hour

// Check looks.
func (n NetSuite) Check(context.Context) []Finding {
	if n.TokenBased {
		return []Finding{{
			Warn, "MAGELINE_NETSUITE_AUTH",
			"token-based authentication: from NetSuite 2027.1 no new integration may use it, and NetSuite plans its end for 2028.2",
			"move to oauth2 (docs/erp/netsuite.md)",
		}}
	}
	const subject = "NetSuite certificate"
	if n.Certificate == "" {
		return []Finding{{Unknown, subject, "when it ends can't be seen", "set MAGELINE_NETSUITE_CERTIFICATE to its file"}}
	}
	text, err := os.ReadFile(n.Certificate)
	if err != nil {
		return []Finding{{Unknown, subject, err.Error(), "see that MAGELINE_NETSUITE_CERTIFICATE can be read"}}
	}
	var certificate *x509.Certificate
	if block, _ := pem.Decode(text); block != nil {
		certificate, err = x509.ParseCertificate(block.Bytes)
	}
	if certificate == nil || err != nil {
		return []Finding{{Unknown, subject, n.Certificate + " is no certificate in PEM", "set MAGELINE_NETSUITE_CERTIFICATE to the one that was uploaded to NetSuite"}}
	}
	now := time.Now
	if n.Now != nil {
		now = n.Now
	}
	const todo = "upload a second certificate to NetSuite, then set its id and its key; docs/erp/netsuite.md has the way"
	switch left := certificate.NotAfter.Sub(now()); {
	case left <= 0:
		return []Finding{{Fail, subject, "it has ended on " + certificate.NotAfter.Format(time.DateOnly), todo}}
	case left < soon:
		return []Finding{{Warn, subject, "it ends on " + certificate.NotAfter.Format(time.DateOnly), todo}}
	}
	return []Finding{ok(subject, "it ends on %s", certificate.NotAfter.Format(time.DateOnly))}
}
