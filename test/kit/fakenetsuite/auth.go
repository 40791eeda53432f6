package fakenetsuite

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Who the client is.
const (
	ClientID      = "c1d2e3f4a5b60718293a4b5c6d7e8f90c1d2e3f4a5b60718293a4b5c6d7e8f90"
	CertificateID = "k7Hq0cert-1d"

	Account        = "1234567_SB1"
	ConsumerKey    = "consumer-key-0123456789abcdef"
	ConsumerSecret = "consumer-s3cr3t-0123456789"
	TokenID        = "token-id-0123456789abcdef"
	TokenSecret    = "token-s3cr3t-0123456789abc"
)

// Tokens issues access tokens for signed assertions and knows which are good. It is an http.Handler; its other methods may be
// called at any time.
type Tokens struct {
	key  crypto.Signer
	text string

	mu       sync.Mutex
	lifetime time.Duration
	asText   bool // expires_in
	refuse   int
	issued   int
	ends     map[string]time.Time
	nonces   map[string]bool
	seen     map[string]bool // assertions
}

func newTokens(useRSA bool) *Tokens {
	var key crypto.Signer
	var err error
	if useRSA {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return &Tokens{
		key: key, text: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), lifetime: time.Hour,
		ends: map[string]time.Time{}, nonces: map[string]bool{}, seen: map[string]bool{},
	}
}

// PrivateKey is that of the client's certificate, in PEM.
func (t *Tokens) PrivateKey() string { return t.text }

// SetLifetime is that of the tokens issued from now on; with asText it is told as a text.
func (t *Tokens) SetLifetime(d time.Duration, asText bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lifetime, t.asText = d, asText
}

// Expire ends all tokens.
func (t *Tokens) Expire() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ends = map[string]time.Time{}
}

// Refuse makes the next n requests for a token fail.
func (t *Tokens) Refuse(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refuse = n
}

// Issue returns an access token without being asked for one as a client does.
func (t *Tokens) Issue() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	token := fmt.Sprintf("by-hand-%d", len(t.ends))
	t.ends[token] = time.Now().Add(t.lifetime)
	return token
}

// Issued returns how many tokens were issued.
func (t *Tokens) Issued() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.issued
}

// good reports whether a request has a token that was issued and has not ended.
func (t *Tokens) good(r *http.Request) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	t.mu.Lock()
	defer t.mu.Unlock()
	return ok && time.Now().Before(t.ends[token])
}

// ServeHTTP answers a request for a token.
func (t *Tokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	refused := func(code string) {
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": code})
	}
	assertion := r.PostFormValue("client_assertion")
	switch {
	case t.refuse > 0:
		t.refuse--
		refused("invalid_client")
	case r.Method != http.MethodPost || r.PostFormValue("grant_type") != "client_credentials":
		refused("unsupported_grant_type")
	case r.PostFormValue("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer":
		refused("invalid_request")
	case t.wrong("http://"+r.Host+TokenPath, assertion) != "" || t.seen[assertion]:
		refused("invalid_client")
	default:
		t.issued++
		t.seen[assertion] = true
		token := fmt.Sprintf("eyJ0eXAiOiJKV1QifQ.token-%06d.c2lnbmF0dXJl", t.issued)
		t.ends[token] = time.Now().Add(t.lifetime)
		var lasts any = int(t.lifetime.Seconds())
		if t.asText {
			lasts = strconv.Itoa(int(t.lifetime.Seconds()))
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"token_type": "bearer", "expires_in": lasts, "access_token": token})
	}
}

// wrong returns what is wrong with an assertion; "" for nothing.
func (t *Tokens) wrong(audience, assertion string) string {
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 {
		return "no JWT"
	}
	var header struct{ Typ, Alg, Kid string }
	var payload struct {
		Iss, Aud string
		Scope    []string
		Iat, Exp int64
	}
	for i, v := range []any{&header, &payload} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(b, v) != nil {
			return "no JSON"
		}
	}
	now := time.Now().Unix()
	switch {
	case header.Typ != "JWT" || header.Kid != CertificateID:
		return "header"
	case payload.Iss != ClientID || payload.Aud != audience || !slices.Contains(payload.Scope, "rest_webservices"):
		return "payload"
	case payload.Exp-payload.Iat >= 3600 || payload.Exp <= now || payload.Iat > now+60:
		return "time"
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return "signature"
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	good := false
	switch key := t.key.Public().(type) {
	case *rsa.PublicKey:
		good = header.Alg == "PS256" && rsa.VerifyPSS(key, crypto.SHA256, digest[:], signature, nil) == nil
	case *ecdsa.PublicKey:
		good = header.Alg == "ES256" && len(signature) == 64 &&
			ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	}
	if !good {
		return "signature"
	}
	return ""
}

var oauthField = regexp.MustCompile(`(\w+)="([^"]*)"`)

// signed reports whether a request is signed by token-based authentication, with a nonce that was not seen before.
func (t *Tokens) signed(r *http.Request) bool {
	header, ok := strings.CutPrefix(r.Header.Get("Authorization"), "OAuth ")
	if !ok {
		return false
	}
	got := map[string]string{}
	for _, m := range oauthField.FindAllStringSubmatch(header, -1) {
		v, err := url.PathUnescape(m[2])
		if err != nil {
			return false
		}
		got[m[1]] = v
	}
	at, err := strconv.ParseInt(got["oauth_timestamp"], 10, 64)
	t.mu.Lock()
	used := t.nonces[got["oauth_nonce"]]
	t.nonces[got["oauth_nonce"]] = true
	t.mu.Unlock()
	if used || err != nil || time.Since(time.Unix(at, 0)).Abs() > 5*time.Minute || got["realm"] != Account || got["oauth_version"] != "1.0" ||
		got["oauth_consumer_key"] != ConsumerKey || got["oauth_token"] != TokenID || got["oauth_signature_method"] != "HMAC-SHA256" || len(got["oauth_nonce"]) < 6 {
		return false
	}
	var pairs []string
	for name, v := range got {
		if name != "realm" && name != "oauth_signature" {
			pairs = append(pairs, escape(name)+"="+escape(v))
		}
	}
	for name, values := range r.URL.Query() {
		for _, v := range values {
			pairs = append(pairs, escape(name)+"="+escape(v))
		}
	}
	slices.Sort(pairs)
	base := r.Method + "&" + escape("http://"+r.Host+r.URL.EscapedPath()) + "&" + escape(strings.Join(pairs, "&"))
	mac := hmac.New(sha256.New, []byte(escape(ConsumerSecret)+"&"+escape(TokenSecret)))
	mac.Write([]byte(base))
	return got["oauth_signature"] == base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// escape encodes all but what RFC 3986 calls unreserved.
func escape(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
