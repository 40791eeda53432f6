package tracing

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"time"
)

// settings are what the OTLP variables say:
// https://opentelemetry.io/docs/specs/otel/protocol/exporter/
type settings struct {
	endpoint *url.URL // nil: nothing is exported
	headers  http.Header
	timeout  time.Duration // of one request
	gzip     bool
	tls      *tls.Config // nil: the system's
}

// fromEnvironment reads them; an error names each variable that is wrong.
func fromEnvironment(getenv func(string) string) (settings, error) {
	s := settings{headers: http.Header{}, timeout: 10 * time.Second}
	// A variable of traces alone goes before the one of all signals.
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
		errs = append(errs, fmt.Errorf(variable+" "+format, args...))
	}

	if variable, value := get("ENDPOINT"); value != "" {
		u, err := url.Parse(value)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
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
		wrong(variable, "is %q: only http/protobuf is spoken here, at port 4318 of most collectors", value)
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
			wrong(variable, "is %q: it must be a number of milliseconds above 0", value)
		}
		s.timeout = time.Duration(ms) * time.Millisecond
	}
	if variable, value := get("COMPRESSION"); value != "" {
		if s.gzip = value == "gzip"; !s.gzip && value != "none" {
			wrong(variable, "is %q: it must be gzip or none", value)
		}
	}
	errs = append(errs, s.readCertificates(get)...)
	return s, errors.Join(errs...)
}

func (s *settings) readCertificates(get func(name string) (variable, value string)) (errs []error) {
	caVariable, ca := get("CERTIFICATE")
	certVariable, cert := get("CLIENT_CERTIFICATE")
	keyVariable, key := get("CLIENT_KEY")
	if ca == "" && cert == "" && key == "" {
		return nil
	}
	s.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			errs = append(errs, fmt.Errorf("read %s: %w", caVariable, err))
		}
		s.tls.RootCAs = x509.NewCertPool()
		if err == nil && !s.tls.RootCAs.AppendCertsFromPEM(pem) {
			errs = append(errs, fmt.Errorf("%s %s holds no certificate in PEM form", caVariable, ca))
		}
	}
	switch {
	case cert != "" && key != "":
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			errs = append(errs, fmt.Errorf("read %s and %s: %w", certVariable, keyVariable, err))
		}
		s.tls.Certificates = []tls.Certificate{pair}
	case cert != "" || key != "":
		errs = append(errs, fmt.Errorf("%s%s needs the other of OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY too", certVariable, keyVariable))
	}
	return errs
}
