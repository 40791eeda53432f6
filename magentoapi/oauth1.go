package magentoapi

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

type oauth1 struct {
	consumerKey, consumerSecret, token, tokenSecret Secret

	now   func() time.Time
	nonce func() string
}

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
	signature := sign(baseString(req.Method, req.URL, protocol), values[1], values[3])
	var fields []string
	for _, p := range append(protocol, parameter{"oauth_signature", signature}) {
		fields = append(fields, p.name+`="`+percentEncode(p.value)+`"`)
	}
	req.Header.Set("Authorization", "OAuth "+strings.Join(fields, ", "))
	return nil
}

// Refused has nothing to drop: the next request is signed with a nonce, a timestamp and secrets of its own.
func (o *oauth1) Refused(*http.Request) {}

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
func baseString(method string, u *url.URL, protocol []parameter) string {
	params := make([]string, 0, len(protocol))
	for _, p := range append(queryParameters(u.RawQuery), protocol...) {
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
	return percentEncode(strings.ToUpper(method)) + "&" + percentEncode(baseAddress(u)) + "&" +
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
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_', c == '~':
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}
