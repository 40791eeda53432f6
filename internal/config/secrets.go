package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Secret is text that is never shown: printed or marshalled it is ***. A field of Config that has this type is found by
// it: it can be given as a file, the file is read again when it changes, and nothing shows its value. What else its value
// must be is in the field's tag secret:
//
//	(no tag)  a token: one word
//	password  one line
//	key       anything
//	address   anything here, as what uses it checks it; each new connection reads it again
type Secret string

// Type says what it takes.
func (Secret) Type() string { return "secret text" }

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "***"
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Reveal returns the secret itself, for what uses it.
func (s Secret) Reveal() string { return string(s) }

func isSecret(f reflect.StructField) bool { return f.Type == reflect.TypeFor[Secret]() }

// What the tag secret of a field says.
const (
	aPassword = "password"
	aKey      = "key"
	anAddress = "address"
)

// checkSecret returns what is wrong with a secret for a field, such as a token with a second line.
func checkSecret(f reflect.StructField, secret Secret) error {
	value := secret.Reveal()
	const bearer = "bearer "
	switch kind := f.Tag.Get("secret"); {
	case kind == anAddress, kind == aKey:
	case kind == aPassword:
		if strings.ContainsFunc(value, isControl) {
			return errors.New("must be one line without control characters")
		}
	case len(value) > len(bearer) && strings.EqualFold(value[:len(bearer)], bearer):
		return errors.New("must be the token alone, without Bearer in front")
	case strings.ContainsFunc(value, func(r rune) bool { return isControl(r) || isBlank(r) }):
		return errors.New("must be one word: it has a blank, a line break or a control character in it")
	}
	return nil
}

// maxSecret bounds what is read from a secret's file, in bytes.
const maxSecret = 64 << 10

// readSecret reads a secret's file: all of it less its last newline. What is not the secret's own, as a byte order mark or a
// second line break at its end, is an error, and so is an empty file.
func readSecret(path string) (Secret, error) {
	if what := surrounded(path); what != "" {
		return "", fmt.Errorf("the path %q %s", path, what)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err // names the path
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", err
	}
	if len(b) > maxSecret {
		return "", fmt.Errorf("%s has more than %d bytes", path, maxSecret)
	}
	s, ended := strings.CutSuffix(string(b), "\n")
	if ended {
		s = strings.TrimSuffix(s, "\r") // a newline of Windows
	}
	if s == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	if what := surrounded(s); what != "" {
		return "", fmt.Errorf("what %s holds %s", path, what)
	}
	return Secret(s), nil
}

// lookEvery is how often the files of secrets are looked at. Kubernetes changes them in place when a Secret changes.
const lookEvery = time.Second

// Secrets holds the present value of each secret of a configuration: those that were given as a file are read again while
// the process runs. A secret is named by the address of its field, as in Value(&cfg.ERPToken).
type Secrets struct {
	log zerolog.Logger
	all map[*Secret]*held
}

// held is one secret.
type held struct {
	variable string
	field    reflect.StructField
	path     string // of its file; "" where its value is in the environment

	seen fileStamp // only for Watch

	mu    sync.Mutex // never held while a file is read, which may take as long as its file system likes
	value Secret
}

// fileStamp shows whether a file has been replaced.
type fileStamp struct {
	at   time.Time
	size int64
}

func stampOf(path string) (fileStamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return fileStamp{}, err
	}
	return fileStamp{info.ModTime(), info.Size()}, nil
}

// NewSecrets begins with what Load has read.
func NewSecrets(c *Config, log zerolog.Logger) *Secrets {
	return secretsOf(reflect.ValueOf(c).Elem(), c.secretFiles, log)
}

// secretsOf finds the secrets among the fields of settings, a struct; files has the paths of their files, by variable.
func secretsOf(settings reflect.Value, files map[string]string, log zerolog.Logger) *Secrets {
	s := &Secrets{log: log, all: map[*Secret]*held{}}
	for _, f := range fields(settings.Type()) {
		if !isSecret(f) {
			continue
		}
		at := settings.FieldByIndex(f.Index).Addr().Interface().(*Secret) //nolint:errcheck // isSecret
		one := &held{variable: variableOf(f), field: f, value: *at}
		if path, ok := files[one.variable]; ok {
			one.path = path
			one.seen, _ = stampOf(path) // it was read a moment ago
		}
		s.all[at] = one
	}
	return s
}

func (s *Secrets) of(secret *Secret) *held {
	one, ok := s.all[secret]
	if !ok {
		panic("config: the secret is no field of the configuration that these Secrets are of")
	}
	return one
}

// Value returns a function that returns the secret's present value.
func (s *Secrets) Value(secret *Secret) func() string {
	return s.of(secret).get
}

func (h *held) get() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.value.Reveal()
}

// Watch looks at the files until ctx ends, and calls changed after each new value. Addresses are left to Newest.
func (s *Secrets) Watch(ctx context.Context, changed func()) {
	var watched []*held
	for _, one := range s.all {
		if one.path != "" && one.field.Tag.Get("secret") != anAddress {
			watched = append(watched, one)
		}
	}
	if len(watched) == 0 {
		return
	}
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, one := range watched {
			if one.reread(s.log) {
				changed()
			}
		}
	}
}

// reread reports whether the secret has a new value.
func (h *held) reread(log zerolog.Logger) bool {
	now, err := stampOf(h.path)
	if err != nil {
		return false // being replaced, or gone: the value from before stays
	}
	if now == h.seen {
		return false
	}
	h.seen = now
	value, err := readSecret(h.path)
	if err == nil {
		err = checkSecret(h.field, value)
	}
	if err != nil {
		log.Warn().Str("event", "secret_unusable").Err(err).Str("variable", h.variable+"_FILE").
			Msg("a secret's file has changed and can't be used: the value from before is used")
		return false
	}
	return h.set(value, log)
}

// set reports whether the value is a new one.
func (h *held) set(value Secret, log zerolog.Logger) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if value == h.value {
		return false
	}
	h.value = value
	log.Info().Str("event", "secret_changed").Str("variable", h.variable+"_FILE").Msg("a secret's file has changed: its new value is used")
	return true
}

// Newest reads the secret's file again, for a new connection, and returns the value. A file that can't be read, is empty
// or is refused by valid leaves the value from before.
func (s *Secrets) Newest(secret *Secret, valid func(string) error) string {
	h := s.of(secret)
	if h.path == "" {
		return h.get()
	}
	value, err := readSecret(h.path)
	if err == nil && valid(value.Reveal()) != nil { // whose error may hold the secret
		err = errors.New("its content is no such address")
	}
	if err != nil {
		s.log.Warn().Str("event", "secret_unusable").Err(err).Str("variable", h.variable+"_FILE").
			Msg("a secret's file can't be used: the value from before is used")
		return h.get()
	}
	h.set(value, s.log)
	return value.Reveal()
}
