package magentoapi

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

type oauth1 struct {
	consumerKey, consumerSecret, token, tokenSecret Secret

	now   func() time.Time
	nonce func() string

	// decodes is set once Magento has shown that it decodes the path before it checks: see decodedAddress.
	decodes atomic.Bool
}

// decodedKey is what the context of a signed request tells: whether its path was decoded for the signature.
type decodedKey struct{}

// OAuth1 signs each request with the four values of an integration (System > Extensions > Integrations), after RFC 5849
// with HMAC-SHA256: the one method that every Magento 2.4 accepts (Magento\Framework\Oauth\Oauth). The integration's
// values don't expire; the clock must not be far off, for Magento refuses old timestamps.
func OAuth1(consumerKey, consumerSecret, token, tokenSecret Secret) Credential {
	return &oauth1{
		consumerKey: consumerKey, consumerSecret: consumerSecret, token: token, tokenSecret: tokenSecret,
		now: time.Now, nonce: rand.Text,
	}
}

func (o *oauth1) Authorize(_ *Client, req *http.Request) error {
	var values [4]string
	for i, s := range []struct {
		what   string
		secret Secret
	}{
		{"OAuth consumer key", o.consumerKey},
		{"OAuth consumer secret", o.consumerSecret},
		{"OAuth access token", o.token},
		{"OAuth access token secret", o.tokenSecret},
	} {
		value, err := s.secret.read(s.what)
		if err != nil {
			return err
		}
		values[i] = value
	}
	protocol := []parameter{
		{"oauth_consumer_key", values[0]},
		{"oauth_nonce", o.nonce()},
		{"oauth_signature_method", "HMAC-SHA256"},
		{"oauth_timestamp", strconv.FormatInt(o.now().Unix(), 10)},
		{"oauth_token", values[2]},
		{"oauth_version", "1.0"},
	}
	address := baseAddress(req.URL)
	decodes := o.decodes.Load()
	if decodes {
		address = decodedAddress(address)
	}
	*req = *req.WithContext(context.WithValue(req.Context(), decodedKey{}, decodes))
	signature := sign(baseString(req.Method, address, req.URL.RawQuery, protocol), values[1], values[3])
	var fields []string
	for _, p := range append(protocol, parameter{"oauth_signature", signature}) {
		fields = append(fields, p.name+`="`+percentEncode(p.value)+`"`)
	}
	req.Header.Set("Authorization", "OAuth "+strings.Join(fields, ", "))
	return nil
}

// Refused has nothing to drop: the next request is signed with a nonce, a timestamp and secrets of its own. Where Magento
// takes the signature for wrong, and that may be due to what is escaped in the path, the next are made the other way.
func (o *oauth1) Refused(req *http.Request, refusal *Error) {
	if address := baseAddress(req.URL); !strings.Contains(refusal.Message, "signature") || decodedAddress(address) == address {
		return
	}
	decoded, _ := req.Context().Value(decodedKey{}).(bool)
	o.decodes.Store(!decoded) // not what is loaded now: another request may have been refused just before
}

// A parameter is a name and a value as they are, not encoded.
type parameter struct{ name, value string }

// sign makes the signature of RFC 5849, section 3.4.2, with SHA-256 in the place of SHA-1.
func sign(base, consumerSecret, tokenSecret string) string {
	mac := hmac.New(sha256.New, []byte(percentEncode(consumerSecret)+"&"+percentEncode(tokenSecret)))
	mac.Write([]byte(base))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// baseString makes the signature base string of RFC 5849, section 3.4.1, of a request without a form as its body.
//
// The query is decoded and encoded again: brackets, which net/url and proxies leave as they are or encode as they like,
// are always encoded in it. Parameters are sorted by bytes, as the RFC has it. Magento sorts by PHP's strnatcmp instead,
// for which 2 comes before 10 (Laminas\OAuth\Http\Utility, Framework\Oauth\Helper\Signature\Hmac256): both orders
// are the same for the queries that SearchCriteria makes.
func baseString(method, address, rawQuery string, protocol []parameter) string {
	params := make([]string, 0, len(protocol))
	for _, p := range append(queryParameters(rawQuery), protocol...) {
		params = append(params, percentEncode(p.name)+"="+percentEncode(p.value))
	}
	// The RFC sorts by name, then by value; "=" sorts after the digits and "%", so whole pairs would sort otherwise.
	slices.SortFunc(params, func(a, b string) int {
		aName, aValue, _ := strings.Cut(a, "=")
		bName, bValue, _ := strings.Cut(b, "=")
		if c := strings.Compare(aName, bName); c != 0 {
			return c
		}
		return strings.Compare(aValue, bValue)
	})
	return percentEncode(strings.ToUpper(method)) + "&" + percentEncode(address) + "&" +
		percentEncode(strings.Join(params, "&"))
}

// baseAddress is the address of RFC 5849, section 3.4.1.2: scheme and host in lower case, no default port, no query.
func baseAddress(u *url.URL) string {
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	if port := u.Port(); scheme == "http" && port == "80" || scheme == "https" && port == "443" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	return scheme + "://" + host + path
}

// decodedAddress is baseAddress as Magento 2.4.6 and some versions after it have it, against the RFC: Laminas decodes in
// the path what may stand there by itself, so that the signature of a SKU with a slash, written %2F, is of another path
// (magento2 issues 37278 and 37830). Before them the path was taken as it is, and since 2.4.8 or so it is again
// (lib/internal/Magento/Framework/Oauth/Helper/Uri/Http.php; Laminas\Uri\Uri::normalizePath).
func decodedAddress(address string) string {
	var b strings.Builder
	for i := 0; i < len(address); i++ {
		c, err := strconv.ParseUint(escaped(address[i:]), 16, 8)
		if err == nil && (unreserved(byte(c)) || strings.IndexByte(":@&=+$,/;%", byte(c)) >= 0) {
			b.WriteByte(byte(c))
			i += 2
			continue
		}
		b.WriteByte(address[i])
	}
	// A "%" that now stands by itself is escaped again; one that seems to begin an escape is not.
	decoded := b.String()
	b.Reset()
	for i := range len(decoded) {
		b.WriteByte(decoded[i])
		if decoded[i] == '%' && escaped(decoded[i:]) == "" {
			b.WriteString("25")
		}
	}
	return b.String()
}

// escaped gives the two digits of the escape that s begins with, or nothing.
func escaped(s string) string {
	isHex := func(c byte) bool { return c >= '0' && c <= '9' || c >= 'A' && c <= 'F' || c >= 'a' && c <= 'f' }
	if len(s) >= 3 && s[0] == '%' && isHex(s[1]) && isHex(s[2]) {
		return s[1:3]
	}
	return ""
}

// queryParameters decodes a query as a form, in the order in which it came; what can't be decoded is taken as it is.
func queryParameters(rawQuery string) []parameter {
	var params []parameter
	for pair := range strings.SplitSeq(rawQuery, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		params = append(params, parameter{formDecode(name), formDecode(value)})
	}
	return params
}

func formDecode(s string) string {
	decoded, err := url.QueryUnescape(s)
	if err != nil {
		return s
	}
	return decoded
}

// percentEncode encodes after RFC 5849, section 3.6: everything but letters, digits, "-", ".", "_" and "~".
func percentEncode(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	b.Grow(len(s))
	for i := range len(s) {
		if c := s[i]; unreserved(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}
