package fakemagento

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// OAuth are the four values of an integration.
type OAuth struct {
	ConsumerKey, ConsumerSecret, AccessToken, AccessTokenSecret string
}

const (
	maxSkew   = 10 * time.Minute
	maxNonces = 100_000
)

type signedURLKey struct{}

// withSignedURL keeps what of the request goes into an OAuth signature: scheme, host and path as the client sees them.
func withSignedURL(ctx context.Context, r *http.Request) context.Context {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	host := strings.ToLower(r.Host)
	host = strings.TrimSuffix(host, map[string]string{"http": ":80", "https": ":443"}[scheme])
	return context.WithValue(ctx, signedURLKey{}, scheme+"://"+host+r.URL.EscapedPath())
}

// allowed lets requests with a credential through.
func (s *Server) allowed(resource string, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o := s.options
		if slices.Contains(o.Denied, resource) {
			refuse(w, http.StatusUnauthorized, "The consumer isn't authorized to access %resources.", map[string]string{"resources": resource})
			return
		}
		if o.Token == "" && o.Username == "" && o.OAuth == (OAuth{}) || r.Context().Value(scheduledKey{}) != nil {
			next(w, r)
			return
		}
		scheme, credential, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		switch {
		case strings.EqualFold(scheme, "Bearer"):
			if !s.bearer(credential) {
				refuse(w, http.StatusUnauthorized, "The consumer isn't authorized to access %resources.", map[string]string{"resources": resource})
				return
			}
		case strings.EqualFold(scheme, "OAuth"):
			if problem := s.signature(r, credential); problem != "" {
				refuse(w, http.StatusUnauthorized, problem, nil)
				return
			}
		default:
			refuse(w, http.StatusUnauthorized, "The consumer isn't authorized to access %resources.", map[string]string{"resources": resource})
			return
		}
		next(w, r)
	})
}

func (s *Server) bearer(token string) bool {
	if s.options.Token != "" && hmac.Equal([]byte(token), []byte(s.options.Token)) {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Before(s.admin[token])
}

// RevokeAdminTokens makes all admin tokens worthless, as a changed password does.
func (s *Server) RevokeAdminTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.admin)
}

func (s *Server) adminToken(w http.ResponseWriter, r *http.Request) {
	var login struct{ Username, Password string }
	if err := json.NewDecoder(r.Body).Decode(&login); err != nil {
		refuse(w, http.StatusBadRequest, "Decoding error.", nil)
		return
	}
	if s.options.Username == "" || login.Username != s.options.Username || login.Password != s.options.Password {
		refuse(w, http.StatusUnauthorized, "The account sign-in was incorrect or your account is disabled temporarily. Please wait and try again later.", nil)
		return
	}
	now := time.Now()
	token := jwt(now, now.Add(s.options.AdminTokenLifetime))
	s.mu.Lock()
	for t, end := range s.admin {
		if now.After(end) {
			delete(s.admin, t)
		}
	}
	s.admin[token] = now.Add(s.options.AdminTokenLifetime)
	s.mu.Unlock()
	answer(w, http.StatusOK, token)
}

// jwt gives a token of the form that Magento gives since 2.4.4. Its signature is of no use.
func jwt(issued, end time.Time) string {
	signature := make([]byte, 32)
	_, _ = rand.Read(signature)
	parts := []string{
		base64.RawURLEncoding.EncodeToString([]byte(`{"kid":"1","alg":"HS256"}`)),
		base64.RawURLEncoding.EncodeToString(encode(map[string]int64{"uid": 1, "utypid": 2, "iat": issued.Unix(), "exp": end.Unix()})),
		base64.RawURLEncoding.EncodeToString(signature),
	}
	return strings.Join(parts, ".")
}

// signature checks an OAuth 1.0a header (RFC 5849, HMAC-SHA256) and says what is wrong with it.
func (s *Server) signature(r *http.Request, header string) string {
	fields := map[string]string{}
	for part := range strings.SplitSeq(header, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		value = strings.TrimSuffix(strings.TrimPrefix(value, `"`), `"`)
		text, err := url.PathUnescape(value)
		if !ok || err != nil {
			return "The signature is invalid. Verify and try again."
		}
		fields[name] = text
	}
	for _, name := range []string{"oauth_consumer_key", "oauth_token", "oauth_signature_method", "oauth_nonce", "oauth_timestamp", "oauth_signature"} {
		if fields[name] == "" {
			return `"` + name + `" is required. Enter and try again.`
		}
	}
	o := s.options.OAuth
	switch {
	case o.ConsumerKey == "" || fields["oauth_consumer_key"] != o.ConsumerKey:
		return "A consumer with the specified key doesn't exist. Verify the key and try again."
	case fields["oauth_token"] != o.AccessToken:
		return "Specified token does not exist"
	case fields["oauth_signature_method"] != "HMAC-SHA256":
		return "Signature method " + fields["oauth_signature_method"] + " is not supported"
	case fields["oauth_version"] != "" && fields["oauth_version"] != "1.0":
		return "OAuth version " + fields["oauth_version"] + " is not supported"
	}
	seconds, err := strconv.ParseInt(fields["oauth_timestamp"], 10, 64)
	if err != nil || time.Since(time.Unix(seconds, 0)).Abs() > maxSkew {
		return "The timestamp value in the oauth_timestamp parameter is invalid"
	}
	if !hmac.Equal([]byte(fields["oauth_signature"]), []byte(s.expectedSignature(r, fields))) {
		return "The signature is invalid. Verify and try again."
	}
	if !s.freshNonce(fields["oauth_nonce"] + " " + fields["oauth_timestamp"]) {
		return "The nonce is already being used by the consumer with ID 1."
	}
	return ""
}

func (s *Server) expectedSignature(r *http.Request, fields map[string]string) string {
	var pairs [][2]string
	for name, value := range fields {
		if name != "oauth_signature" && name != "realm" {
			pairs = append(pairs, [2]string{escape(name), escape(value)})
		}
	}
	for name, values := range r.URL.Query() {
		for _, value := range values {
			pairs = append(pairs, [2]string{escape(name), escape(value)})
		}
	}
	slices.SortFunc(pairs, func(a, b [2]string) int {
		if c := strings.Compare(a[0], b[0]); c != 0 {
			return c
		}
		return strings.Compare(a[1], b[1])
	})
	var parameters []string
	for _, p := range pairs {
		parameters = append(parameters, p[0]+"="+p[1])
	}
	address, _ := r.Context().Value(signedURLKey{}).(string)
	if s.options.DecodesPath {
		address = normalized(address)
	}
	base := r.Method + "&" + escape(address) + "&" + escape(strings.Join(parameters, "&"))
	mac := hmac.New(sha256.New, []byte(escape(s.options.OAuth.ConsumerSecret)+"&"+escape(s.options.OAuth.AccessTokenSecret)))
	mac.Write([]byte(base))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

var (
	escapeSequence = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
	literal        = regexp.MustCompile(`^[a-zA-Z0-9_.~:@&=+$,/;%-]$`)
)

// normalized is what laminas-uri (src/Uri.php, normalizePath) makes of a path: characters that may stand in one by
// themselves are decoded, a percent sign with no digits behind it is encoded.
func normalized(address string) string {
	decoded := escapeSequence.ReplaceAllStringFunc(address, func(sequence string) string {
		if c, err := url.PathUnescape(sequence); err == nil && literal.MatchString(c) {
			return c
		}
		return strings.ToUpper(sequence)
	})
	var b strings.Builder
	for i, c := range []byte(decoded) {
		b.WriteByte(c)
		if c == '%' && !escapeSequence.MatchString(decoded[i:min(i+3, len(decoded))]) {
			b.WriteString("25")
		}
	}
	return b.String()
}

// escape percent-encodes all but RFC 3986's unreserved characters (RFC 5849 section 3.6).
func escape(text string) string {
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteString("%" + strings.ToUpper(hex.EncodeToString([]byte{c})))
	}
	return b.String()
}

func (s *Server) freshNonce(nonce string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.nonces[nonce] {
		return false
	}
	s.nonces[nonce] = true
	s.nonceRing = append(s.nonceRing, nonce)
	if len(s.nonceRing) > maxNonces {
		delete(s.nonces, s.nonceRing[0])
		s.nonceRing = s.nonceRing[1:]
	}
	return true
}
