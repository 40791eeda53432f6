package magentoapi

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A status is an error that errors.Is finds in each *Error of that HTTP status.
type status int

func (s status) Error() string {
	return "magento: " + strconv.Itoa(int(s)) + " " + http.StatusText(int(s))
}

// What Magento may answer. Test for it with errors.Is.
const (
	// ErrBadRequest is 400: every refusal of Magento's own that has no status of its own, and now and then a failed
	// save: see Error.Transient.
	ErrBadRequest = status(http.StatusBadRequest)
	// ErrUnauthorized is 401. Magento answers so to a wrong credential and to a missing permission alike. Every
	// refused login is ErrUnauthorized too, whatever its status (400 for a user with two-factor authentication).
	ErrUnauthorized     = status(http.StatusUnauthorized)
	ErrForbidden        = status(http.StatusForbidden) // Magento seldom answers so; a firewall in front of it does
	ErrNotFound         = status(http.StatusNotFound)
	ErrMethodNotAllowed = status(http.StatusMethodNotAllowed)
	ErrConflict         = status(http.StatusConflict)
	ErrTooManyRequests  = status(http.StatusTooManyRequests)
	ErrInternal         = status(http.StatusInternalServerError)
	ErrUnavailable      = status(http.StatusServiceUnavailable) // maintenance mode among others
)

// Why a request failed, where the status doesn't tell. Test for it with errors.Is.
var (
	// ErrUnreadable is an answer of 2xx that isn't what the endpoint answers: a page of HTML, the beginning of an
	// answer, another type. The request may have been carried out.
	ErrUnreadable = errors.New("magento: the answer can't be read")
	// ErrTwoFactor is a login of an admin user who has two-factor authentication, or must set it up.
	ErrTwoFactor = errors.New("magento: the admin user has two-factor authentication")
	// ErrNoEndpoint is a 404 that isn't about what was asked for: not Magento's API answered it, or the API knows no such
	// path. The base address, the store code or a module of the shop's is wrong. It is ErrNotFound too.
	ErrNoEndpoint = errors.New("magento: there is no such endpoint")
	// ErrBearerDisabled is an integration's token refused as a bearer, which Magento does since 2.4.4 unless told
	// otherwise. Magento's words are those of a missing permission; it is told apart by that this Client's bearer
	// token has never been accepted. A wrong token looks the same.
	ErrBearerDisabled = errors.New("magento: the bearer token has never been accepted")
)

// BodyKind is what an error's body was.
type BodyKind string

// The kinds of body.
const (
	BodyEmpty BodyKind = "empty"
	BodyJSON  BodyKind = "json"
	BodyHTML  BodyKind = "html" // of a web server, a cache, PHP or the maintenance page
	BodyText  BodyKind = "text"
)

// An Error is an answer that is no success: any status but 2xx, or a 2xx that can't be read (ErrUnreadable). Match it
// with errors.As, or by its case with errors.Is.
type Error struct {
	Status int
	// Message is Magento's, with its parameters filled in, at most 1 KiB; of HTML the page's title; else empty. It may
	// hold what Magento says of a customer; Error leaves out what looks like an e-mail address.
	Message string
	// Parameters are those of Magento's message, at most 32, each at most 256 bytes.
	Parameters []Parameter
	Method     string
	// Path is the endpoint below /rest/<code>, without the query.
	Path string
	Body BodyKind
	// RetryAfter is how long the answer asks to wait; 0 if it doesn't.
	RetryAfter time.Duration
	// Location is where a redirect leads, without user, query and fragment, at most 1 KiB.
	Location string

	reason   error // one of the variables above, or nil
	cause    error // why a 2xx can't be read, or nil
	login    bool
	accepted bool // Magento has accepted the client's credential before
}

// A Parameter is one value for a placeholder in a message of Magento's: %1, %2, … for those without a name, in order,
// else %name.
type Parameter struct {
	Name, Value string
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "magento: %s %s: %d", e.Method, e.Path, e.Status)
	switch {
	case e.Message != "":
		b.WriteString(": " + bound(strings.Join(strings.Fields(maskAddresses(e.Message)), " "), maxMessage))
	case e.cause == nil && http.StatusText(e.Status) != "":
		b.WriteString(" " + http.StatusText(e.Status))
	}
	if e.cause != nil {
		b.WriteString(": the answer can't be read: " + e.cause.Error())
	}
	if e.Body == BodyHTML || e.Body == BodyText {
		b.WriteString(" (answered in " + string(e.Body) + ", not by Magento's API)")
	}
	if hint := e.Hint(); hint != "" {
		b.WriteString(" (" + hint + ")")
	}
	return b.String()
}

// Is reports whether target is the error of e's case: by its status, and for a refused login ErrUnauthorized.
func (e *Error) Is(target error) bool {
	s, ok := target.(status)
	if !ok || errors.Is(e.reason, ErrUnreadable) {
		return false
	}
	return e.Status == int(s) || e.login && s == ErrUnauthorized
}

// Unwrap gives what errors.Is and errors.As look through besides.
func (e *Error) Unwrap() []error {
	var all []error
	for _, err := range []error{e.reason, e.cause} {
		if err != nil {
			all = append(all, err)
		}
	}
	return all
}

// savesFailed is how Magento words a save, a lock or a deadlock that failed, which it answers with 400 as it does what
// is refused for good: CouldNotSaveException and its like are LocalizedExceptions
// (lib/internal/Magento/Framework/Webapi/ErrorProcessor.php; Sales\Model\ShipOrder: "Could not save a shipment, see
// error log for details").
var savesFailed = regexp.MustCompile(`(?i)could(?:n't| not) (?:be )?save|can(?:not|'t) (?:be )?save|` +
	`(?:unable|failed) to (?:be )?save|see error log|deadlock found|lock wait timeout|try restarting transaction|` +
	`SQLSTATE\[(?:40001|HY000|08\w{3})\]|server has gone away`)

// Transient reports whether the same request may succeed later: 408, 423, 425, 429, 5xx, an answer that can't be read,
// and a 400 whose message tells of a failed save, a lock or a deadlock. It does not say that repeating is harmless.
func (e *Error) Transient() bool {
	switch e.Status {
	case http.StatusBadRequest:
		return savesFailed.MatchString(e.Message)
	case http.StatusRequestTimeout, http.StatusLocked, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return e.Status >= 500 || errors.Is(e.reason, ErrUnreadable)
}

// Hint says what to do about an error of the set-up; empty for all others.
func (e *Error) Hint() string {
	const integration = "System > Extensions > Integrations"
	switch {
	case errors.Is(e.reason, ErrTwoFactor):
		return "admin users with two-factor authentication can't log in here: use an integration (" + integration +
			") and its OAuth values"
	case errors.Is(e.reason, ErrBearerDisabled):
		return "either Magento takes no integration token as a bearer (since 2.4.4, unless " +
			"oauth/consumer/enable_integration_as_bearer is 1): set that, or use the integration's four OAuth values; " +
			"or the token is wrong; or the integration lacks the permission" + e.resource()
	case errors.Is(e.reason, ErrNoEndpoint):
		return "there is no such endpoint: check the base address and the store code"
	case e.login:
		return "check the user's name and password; Magento locks an account for half an hour after six failures"
	case e.Status == http.StatusUnauthorized && strings.Contains(e.Message, "signature"):
		return "check the four OAuth values, and that a proxy hands the scheme, host, path and query through unchanged"
	case e.Status == http.StatusUnauthorized && strings.Contains(e.Message, "timestamp"):
		return "check this machine's clock"
	case e.Status == http.StatusUnauthorized:
		return "check the credential, and that it has the permission" + e.resource()
	case e.Status >= 300 && e.Status < 400 && e.Location != "":
		return "redirects are not followed, this one leads to " + e.Location + ": set the base address accordingly"
	case e.Status >= 300 && e.Status < 400:
		return "redirects are not followed: set the base address to where it leads"
	}
	return ""
}

// resource gives the permission that Magento says is missing, with a space before it, or nothing.
func (e *Error) resource() string {
	for _, p := range e.Parameters {
		if p.Name == "resources" {
			return " " + p.Value
		}
	}
	return ""
}

// ofLogin marks e as a refused login, unless it says nothing of the credential.
func (e *Error) ofLogin() {
	if isTwoFactor(e.Message) {
		e.reason, e.cause, e.login = ErrTwoFactor, nil, true
		return
	}
	e.login = e.Status >= 400 && e.Status < 500 && !e.Transient()
}

// isTwoFactor knows the words of magento/security-package, TwoFactorAuth/Model/AdminAccessTokenService.php, for users
// who have two-factor authentication and for those who must set it up first.
func isTwoFactor(message string) bool {
	m := strings.ToLower(message)
	return strings.Contains(m, "2fa") || strings.Contains(m, "two-factor") || strings.Contains(m, "two factor")
}

// refused makes the error of an answer other than 2xx.
func (op operation) refused(resp *http.Response, body []byte) *Error {
	e := &Error{
		Status: resp.StatusCode, Method: op.method, Path: op.path,
		RetryAfter: retryAfter(resp.Header, time.Now()),
	}
	if to, err := resp.Location(); err == nil {
		to = &url.URL{Scheme: to.Scheme, Host: to.Host, Path: to.Path, RawPath: to.RawPath}
		e.Location = bound(to.String(), maxMessage)
	}
	e.Body, e.Message, e.Parameters = decodeErrorBody(body)
	// The text is of Webapi/Controller/Rest/Router.php.
	if e.Status == http.StatusNotFound && (e.Body != BodyJSON || strings.HasPrefix(e.Message, "Request does not match any route")) {
		e.reason = ErrNoEndpoint
	}
	return e
}

// unreadable makes the error of a 2xx answer that isn't what the endpoint answers.
func (op operation) unreadable(status int, body []byte, cause error) *Error {
	e := &Error{Status: status, Method: op.method, Path: op.path, reason: ErrUnreadable, cause: cause}
	e.Body, _, _ = decodeErrorBody(body)
	return e
}

// retryAfter reads Retry-After (RFC 9110, section 10.2.3): seconds, or a date, which is compared with the Date of the same
// answer where it has one. It returns 0 for neither, and at most a day.
func retryAfter(h http.Header, now time.Time) time.Duration {
	const most = 24 * time.Hour
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v != "" && strings.Trim(v, "0123456789") == "" {
		seconds, err := strconv.ParseUint(v, 10, 32)
		if err != nil { // more digits than a number has
			return most
		}
		return min(time.Duration(seconds)*time.Second, most)
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(max(at.Sub(now), 0), most)
}
