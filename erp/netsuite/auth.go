package netsuite

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // of ES384 and ES512
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// assertionTTL is for how long an assertion is good; NetSuite takes less than an hour.
const assertionTTL = 5 * time.Minute

// ParsePrivateKey reads a private key in PEM (PKCS #8, PKCS #1 or SEC 1) that NetSuite takes signatures of: RSA of 2,048 bits or
// more, or ECDSA on P-256, P-384 or P-521. Its errors repeat nothing of the key.
func ParsePrivateKey(text string) (crypto.Signer, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("the private key is not in PEM: want -----BEGIN PRIVATE KEY-----")
	}
	var key any
	var err error
	switch block.Type {
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("the PEM has a %s: want a private key without a password", block.Type)
	}
	if err != nil {
		return nil, errors.New("the private key can't be read")
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		if bits := key.N.BitLen(); bits < minRSA {
			return nil, fmt.Errorf("the RSA key has %d bits: want %d or more", bits, minRSA)
		}
		return key, nil
	case *ecdsa.PrivateKey:
		if _, ok := curves[key.Curve.Params().Name]; !ok {
			return nil, fmt.Errorf("the key is on the curve %s: want P-256, P-384 or P-521", key.Curve.Params().Name)
		}
		return key, nil
	default:
		return nil, errors.New("the private key is neither RSA nor ECDSA")
	}
}

// minRSA is the shortest RSA key whose signatures are worth anything.
const minRSA = 2048

// curves are the algorithms of JWT by the curves of keys.
var curves = map[string]struct {
	name string
	hash crypto.Hash
}{"P-256": {"ES256", crypto.SHA256}, "P-384": {"ES384", crypto.SHA384}, "P-521": {"ES512", crypto.SHA512}}

// assertion returns a signed JWT by which NetSuite knows the client.
func assertion(privateKey, clientID, certificateID, audience string, now time.Time) (string, error) {
	key, err := ParsePrivateKey(privateKey)
	if err != nil {
		return "", err
	}
	algorithm, hash := "PS256", crypto.SHA256
	if k, ok := key.(*ecdsa.PrivateKey); ok {
		curve := curves[k.Curve.Params().Name]
		algorithm, hash = curve.name, curve.hash
	}
	header, err := json.Marshal(map[string]string{"typ": "JWT", "alg": algorithm, "kid": certificateID})
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(map[string]any{
		"iss": clientID, "scope": []string{"rest_webservices"}, "aud": audience, "iat": now.Unix(), "exp": now.Add(assertionTTL).Unix(), "jti": rand.Text(),
	})
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload)
	h := hash.New()
	h.Write([]byte(text))
	signature, err := signed(key, h.Sum(nil), hash)
	if err != nil {
		return "", errors.New("the assertion can't be signed")
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// signed returns a signature as JWT has it (RFC 7518): RSA's with PSS, and of ECDSA the two numbers one after the other.
func signed(key crypto.Signer, digest []byte, hash crypto.Hash) ([]byte, error) {
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return rsa.SignPSS(rand.Reader, key, hash, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash})
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, key, digest)
		if err != nil {
			return nil, err
		}
		size := (key.Curve.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...), nil
	default:
		return nil, errors.New("no such key")
	}
}

// TokenBased is token-based authentication (OAuth 1.0a), for an integration that the account has already: from NetSuite 2027.1
// no new one may be created.
type TokenBased struct {
	// Account is the account's id in its own form, such as 1234567_SB1.
	Account string
	// The values of the integration record and of the access token. They are asked before each request.
	ConsumerKey, ConsumerSecret, TokenID, TokenSecret func() string

	now func() time.Time
}

func (t *TokenBased) secrets() []string {
	return []string{t.ConsumerKey(), t.ConsumerSecret(), t.TokenID(), t.TokenSecret()}
}

// authorize signs a request (RFC 5849, with HMAC-SHA256). Each attempt is signed by itself: NetSuite refuses a nonce that it has
// seen.
func (t *TokenBased) authorize(req *http.Request, _ []byte, _ bool) error {
	protocol := [][2]string{
		{"oauth_consumer_key", t.ConsumerKey()},
		{"oauth_nonce", rand.Text()},
		{"oauth_signature_method", "HMAC-SHA256"},
		{"oauth_timestamp", strconv.FormatInt(t.now().Unix(), 10)},
		{"oauth_token", t.TokenID()},
		{"oauth_version", "1.0"},
	}
	var pairs []string
	for _, p := range protocol {
		pairs = append(pairs, percent(p[0])+"="+percent(p[1]))
	}
	for name, values := range req.URL.Query() {
		for _, v := range values {
			pairs = append(pairs, percent(name)+"="+percent(v))
		}
	}
	slices.Sort(pairs)
	address := *req.URL
	address.RawQuery = ""
	base := req.Method + "&" + percent(address.String()) + "&" + percent(strings.Join(pairs, "&"))
	mac := hmac.New(sha256.New, []byte(percent(t.ConsumerSecret())+"&"+percent(t.TokenSecret())))
	mac.Write([]byte(base))
	fields := []string{`OAuth realm="` + percent(t.Account) + `"`}
	for _, p := range append(protocol, [2]string{"oauth_signature", base64.StdEncoding.EncodeToString(mac.Sum(nil))}) {
		fields = append(fields, p[0]+`="`+percent(p[1])+`"`)
	}
	req.Header.Set("Authorization", strings.Join(fields, ", "))
	return nil
}

// percent encodes as RFC 3986 has it.
func percent(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
