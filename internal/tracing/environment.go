package tracing

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// settings are the values of the OTLP variables:
// https://opentelemetry.io/docs/specs/otel/protocol/exporter/
type settings struct {
	endpoint *url.URL // nil: nothing is exported
	headers  http.Header
	timeout  time.Duration // of one request
	gzip     bool
	tls      *tls.Config // nil: the system's
}

// Problem is a variable with a wrong value.
type Problem struct {
	Variable string
	Value    string // what it got; *** where it may hold a secret
	Want     string // what would be right
}

func (p *Problem) Error() string { return fmt.Sprintf("%s=%q: %s", p.Variable, p.Value, p.Want) }

// Check returns the problems of the variables. Without an endpoint there are none: then the variables have no effect.
func Check(getenv func(string) string) []*Problem {
	_, err := fromEnvironment(getenv)
	var all []*Problem
	if joined, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // its own errors.Join
		for _, err := range joined.Unwrap() {
			var p *Problem
			if errors.As(err, &p) {
				all = append(all, p)
			}
		}
	}
	return all
}

// fromEnvironment reads the variables. Its error joins a *Problem for each wrong one.
func fromEnvironment(getenv func(string) string) (settings, error) {
	s := settings{headers: http.Header{}, timeout: 10 * time.Second}
	// A variable for traces alone overrides the one for all signals.
	get := func(name string) (variable, value string) {
		for _, variable := range []string{"OTEL_EXPORTER_OTLP_TRACES_" + name, "OTEL_EXPORTER_OTLP_" + name} {
			if value := getenv(variable); value != "" {
				return variable, value
			}
		}
		return "", ""
	}
	var errs []error
	wrong := func(variable, format string, args ...any) {
		value := getenv(variable)
		if strings.HasSuffix(variable, "_HEADERS") || strings.Contains(value, "@") {
			value = "***"
		}
		errs = append(errs, &Problem{variable, value, fmt.Sprintf(format, args...)})
	}

	if variable, value := get("ENDPOINT"); value != "" {
		u, err := url.Parse(value)
		switch {
		case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || strings.ContainsAny(value, " \"'") || !isPort(u.Port()):
			wrong(variable, "must be an http:// or https:// address, such as http://collector:4318")
		case variable == "OTEL_EXPORTER_OTLP_ENDPOINT": // the base of all signals
			u.Path = path.Join("/", u.Path, "v1/traces")
			s.endpoint = u
		default:
			u.Path = path.Join("/", u.Path)
			s.endpoint = u
		}
	} else {
		return s, nil
	}
	if variable, value := get("PROTOCOL"); value != "" && value != "http/protobuf" {
		wrong(variable, "must be http/protobuf, the only protocol that is spoken here: at port 4318 of most collectors")
	}
	if variable, value := get("HEADERS"); value != "" {
		for pair := range strings.SplitSeq(value, ",") {
			name, text, ok := strings.Cut(pair, "=")
			name, text = strings.TrimSpace(name), strings.TrimSpace(text)
			plain, err := url.PathUnescape(text)
			if !ok || err != nil || name == "" {
				wrong(variable, "must be name=value pairs, separated by commas, percent-encoded") // its value may be a secret
				break
			}
			s.headers.Set(name, plain)
		}
	}
	if variable, value := get("TIMEOUT"); value != "" {
		ms, err := strconv.Atoi(value)
		if err != nil || ms <= 0 {
			wrong(variable, "must be a number of milliseconds above 0")
		}
		s.timeout = time.Duration(ms) * time.Millisecond
	}
	if variable, value := get("COMPRESSION"); value != "" {
		if s.gzip = value == "gzip"; !s.gzip && value != "none" {
			wrong(variable, "must be gzip or none")
		}
	}
	s.readCertificates(get, wrong)
	checkSDK(getenv, wrong)
	return s, errors.Join(errs...)
}

func isPort(port string) bool {
	n, err := strconv.Atoi(port)
	return port == "" || err == nil && n >= 1 && n <= math.MaxUint16
}

// samplers are those of the SDK. The value is true if OTEL_TRACES_SAMPLER_ARG is a ratio.
var samplers = map[string]bool{
	"always_on": false, "always_off": false, "traceidratio": true,
	"parentbased_always_on": false, "parentbased_always_off": false, "parentbased_traceidratio": true,
}

// checkSDK checks the variables that the SDK reads itself: it ignores what it can't use.
func checkSDK(getenv func(string) string, wrong func(variable, format string, args ...any)) {
	sampler := strings.ToLower(strings.TrimSpace(getenv("OTEL_TRACES_SAMPLER")))
	ratio, known := samplers[sampler]
	if sampler != "" && !known {
		wrong("OTEL_TRACES_SAMPLER", "must be one of %s", strings.Join(slices.Sorted(maps.Keys(samplers)), ", "))
	}
	if text := strings.TrimSpace(getenv("OTEL_TRACES_SAMPLER_ARG")); ratio && text != "" {
		if share, err := strconv.ParseFloat(text, 64); err != nil || !(share >= 0 && share <= 1) {
			wrong("OTEL_TRACES_SAMPLER_ARG", "must be a number from 0 to 1")
		}
	}
	if text := strings.TrimSpace(getenv("OTEL_RESOURCE_ATTRIBUTES")); text != "" {
		for pair := range strings.SplitSeq(text, ",") {
			if _, value, ok := strings.Cut(pair, "="); !ok || !isEscaped(value) {
				wrong("OTEL_RESOURCE_ATTRIBUTES", "must be name=value pairs, separated by commas, percent-encoded")
				break
			}
		}
	}
	for _, variable := range []string{
		"OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_EXPORT_TIMEOUT", "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
	} {
		if text := getenv(variable); text != "" {
			if n, err := strconv.Atoi(text); err != nil || n <= 0 {
				wrong(variable, "must be a whole number above 0")
			}
		}
	}
}

func isEscaped(text string) bool {
	_, err := url.PathUnescape(strings.TrimSpace(text))
	return err == nil
}

func (s *settings) readCertificates(get func(name string) (variable, value string), wrong func(variable, format string, args ...any)) {
	caVariable, ca := get("CERTIFICATE")
	certVariable, cert := get("CLIENT_CERTIFICATE")
	keyVariable, key := get("CLIENT_KEY")
	if ca == "" && cert == "" && key == "" {
		return
	}
	s.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		s.tls.RootCAs = x509.NewCertPool()
		switch {
		case err != nil:
			wrong(caVariable, "must be a file that can be read: %v", err)
		case !s.tls.RootCAs.AppendCertsFromPEM(pem):
			wrong(caVariable, "must be a file with certificates in PEM form")
		}
	}
	switch {
	case cert != "" && key != "":
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			wrong(certVariable, "must be a file with a certificate in PEM form, and %s one with its key: %v", keyVariable, err)
		}
		s.tls.Certificates = []tls.Certificate{pair}
	case cert != "":
		wrong(certVariable, "needs OTEL_EXPORTER_OTLP_CLIENT_KEY too")
	case key != "":
		wrong(keyVariable, "needs OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE too")
	}
}
