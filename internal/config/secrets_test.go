package config

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// withOneMore is a configuration to which somebody has added three secrets, and has edited nothing else.
type withOneMore struct {
	Config
	SearchToken    Secret `envconfig:"SEARCH_TOKEN" meaning:"a token that the search engine is sent"`
	SearchPassword Secret `envconfig:"SEARCH_PASSWORD" secret:"password" meaning:"a password"`
	SearchURL      Secret `envconfig:"SEARCH_URL" secret:"address" meaning:"an address with a password"`
}

// write writes a secret's file. Its time differs from that of each one before.
func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Time{}, time.Now().Add(time.Duration(len(content))*time.Minute)); err != nil {
		t.Fatal(err)
	}
}

func TestSecrets_FoundByTheirType(t *testing.T) {
	folder := t.TempDir()
	token, url := filepath.Join(folder, "token"), filepath.Join(folder, "url")
	write(t, token, "first\n")
	write(t, url, "http://u:first@search\n")
	t.Setenv("MAGELINE_SEARCH_TOKEN_FILE", token)
	t.Setenv("MAGELINE_SEARCH_PASSWORD", "hunter2 with blanks")
	t.Setenv("MAGELINE_SEARCH_URL_FILE", url)

	c := &withOneMore{}
	l := newLoader(&c.Config, reflect.ValueOf(c).Elem())
	l.read()
	l.checkCredentials()
	if len(l.problems) > 0 {
		t.Fatal(l.problems)
	}
	if c.SearchToken.Reveal() != "first" || c.SearchPassword.Reveal() != "hunter2 with blanks" {
		t.Errorf("read %q and %q", c.SearchToken.Reveal(), c.SearchPassword.Reveal())
	}

	t.Run("shown nowhere", func(t *testing.T) {
		asJSON, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		shown := fmt.Sprintf("%v %+v %#v %s", c, c, c, asJSON)
		for _, name := range []string{"SEARCH_TOKEN", "SEARCH_PASSWORD", "SEARCH_URL"} {
			v := lookup(reflect.TypeFor[withOneMore](), name)
			if !v.Secret || v.Value != "***" {
				t.Errorf("%s is shown as %q", name, v.Value)
			}
			shown += fmt.Sprint(v)
		}
		for _, secret := range []string{"first", "hunter2"} {
			if strings.Contains(shown, secret) {
				t.Errorf("%s is shown: %s", secret, shown)
			}
		}
	})

	var log bytes.Buffer
	s := secretsOf(reflect.ValueOf(c).Elem(), c.secretFiles, zerolog.New(&log))
	t.Run("token read again by Watch", func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		changed, watched := make(chan string), make(chan struct{})
		go func() {
			defer close(watched)
			s.Watch(ctx, func() { changed <- s.Value(&c.SearchToken)() })
		}()
		write(t, token, "the second, which is no token\n")
		write(t, url, "http://u:second@search\n") // none of Watch's business
		write(t, token, "second\n")
		select {
		case got := <-changed:
			if got != "second" {
				t.Errorf("got %q", got)
			}
		case <-time.After(time.Minute):
			t.Error("the new value was not found")
		}
		stop()
		<-watched
	})
	t.Run("address read again by each connection", func(t *testing.T) {
		valid := func(string) error { return nil }
		if got := s.Newest(&c.SearchURL, valid); got != "http://u:second@search" {
			t.Errorf("got %q", got)
		}
		write(t, url, "")
		if got := s.Newest(&c.SearchURL, valid); got != "http://u:second@search" {
			t.Errorf("from an empty file: %q", got)
		}
	})
	for _, event := range []string{`"event":"secret_changed"`, `"event":"secret_unusable"`} {
		if !strings.Contains(log.String(), event) {
			t.Errorf("not logged: %s", event)
		}
	}
	for _, secret := range []string{"first", "second", "hunter2"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%s is in the log: %s", secret, log.String())
		}
	}
}

func TestSecrets_CheckedByTheirTag(t *testing.T) {
	for name, value := range map[string]string{
		"SEARCH_TOKEN": "two words", "SEARCH_PASSWORD": "two\nlines",
	} {
		t.Setenv("MAGELINE_"+name, value)
	}
	c := &withOneMore{}
	l := newLoader(&c.Config, reflect.ValueOf(c).Elem())
	l.read()
	l.checkCredentials()
	if len(l.problems) != 2 || !strings.Contains(l.problems[0].Want, "one word") || !strings.Contains(l.problems[1].Want, "one line") {
		t.Errorf("%v", l.problems)
	}
}

func TestSecrets_KeepTheirValueWhenTheFileHasNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	write(t, path, "first")
	t.Setenv("MAGELINE_ERP_TOKEN_FILE", path)
	c := &Config{}
	newLoader(c, reflect.ValueOf(c).Elem()).read()
	s := NewSecrets(c, zerolog.Nop())
	one := s.of(&c.ERPToken)
	write(t, path, "Bearer second")
	if one.reread(zerolog.Nop()) || s.Value(&c.ERPToken)() != "first" {
		t.Errorf("the value is %q", s.Value(&c.ERPToken)())
	}
	write(t, path, "third")
	if !one.reread(zerolog.Nop()) || s.Value(&c.ERPToken)() != "third" {
		t.Errorf("the value is %q", s.Value(&c.ERPToken)())
	}
	if one.reread(zerolog.Nop()) {
		t.Error("a file that has not changed has a new value")
	}
}
