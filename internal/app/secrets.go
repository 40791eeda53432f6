package app

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/internal/config"
)

// lookEvery is how often the files of secrets are looked at. Kubernetes changes them in place when a Secret changes.
const lookEvery = time.Second

// secrets are those that are read again while the process runs, with what their files hold now.
type secrets struct {
	files map[string]string // path by variable

	mu     sync.Mutex
	values map[string]config.Secret
	stamps map[string]fileStamp
}

// fileStamp tells whether a file is another one than before.
type fileStamp struct {
	at   time.Time
	size int64
}

// newSecrets begins with what cfg has read.
func newSecrets(cfg *config.Config) *secrets {
	s := &secrets{files: map[string]string{}, values: map[string]config.Secret{}, stamps: map[string]fileStamp{}}
	for variable, value := range map[string]config.Secret{
		"MAGELINE_MAGENTO_TOKEN":               cfg.MagentoToken,
		"MAGELINE_MAGENTO_CONSUMER_KEY":        cfg.MagentoConsumerKey,
		"MAGELINE_MAGENTO_CONSUMER_SECRET":     cfg.MagentoConsumerSecret,
		"MAGELINE_MAGENTO_ACCESS_TOKEN":        cfg.MagentoAccessToken,
		"MAGELINE_MAGENTO_ACCESS_TOKEN_SECRET": cfg.MagentoAccessTokenSecret,
		"MAGELINE_MAGENTO_PASSWORD":            cfg.MagentoPassword,
		"MAGELINE_ERP_TOKEN":                   cfg.ERPToken,
		"MAGELINE_ERP_SECRET":                  cfg.ERPSecret,
		"MAGELINE_AMQP_URL":                    cfg.AMQPURL,
		"MAGELINE_AMQP_MANAGEMENT_URL":         cfg.AMQPManagementURL,
		"MAGELINE_DATABASE_URL":                cfg.DatabaseURL,
		"MAGELINE_MIGRATE_DATABASE_URL":        cfg.MigrateDatabaseURL,
	} {
		s.values[variable] = value
		if path, ok := cfg.SecretFiles[variable]; ok {
			s.files[variable] = path
			s.stamps[variable], _ = stampOf(path) // it was read a moment ago
		}
	}
	return s
}

func stampOf(path string) (fileStamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return fileStamp{}, err
	}
	return fileStamp{info.ModTime(), info.Size()}, nil
}

// value gives what a variable's secret is now, each time it is asked.
func (s *secrets) value(variable string) func() string {
	return func() string {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.values[variable].Reveal()
	}
}

// watch looks at the files until ctx ends, and calls changed after each new value.
func (s *secrets) watch(ctx context.Context, log zerolog.Logger, changed func()) {
	if len(s.files) == 0 {
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
		for variable, path := range s.files {
			if strings.HasSuffix(variable, "_URL") { // these are read by each new connection
				continue
			}
			if s.reread(variable, path, log) {
				changed()
			}
		}
	}
}

// reread reports whether a secret has a new value.
func (s *secrets) reread(variable, path string, log zerolog.Logger) bool {
	now, err := stampOf(path)
	if err != nil {
		return false // being replaced, or gone: the value that was read goes on
	}
	s.mu.Lock()
	same := now == s.stamps[variable]
	s.mu.Unlock()
	if same {
		return false
	}
	value, err := config.ReadSecret(path)
	if err == nil {
		err = config.CheckSecret(variable, value)
	}
	if err != nil {
		log.Warn().Str("event", "secret_unusable").Err(err).Str("variable", variable+"_FILE").
			Msg("a secret's file has changed and can't be used: the value from before is used")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stamps[variable] = now
	if err != nil || value == s.values[variable] {
		return false
	}
	s.values[variable] = value
	log.Info().Str("event", "secret_changed").Str("variable", variable+"_FILE").Msg("a secret's file has changed: its new value is used")
	return true
}

// newest reads the file of a secret again, for a new connection; what can't be read, is empty or is refused by valid
// leaves the value from before.
func (s *secrets) newest(variable string, valid func(string) error, log zerolog.Logger) string {
	s.mu.Lock()
	before := s.values[variable]
	s.mu.Unlock()
	path, ok := s.files[variable]
	if !ok {
		return before.Reveal()
	}
	value, err := config.ReadSecret(path)
	if err == nil && valid(value.Reveal()) != nil { // whose error may hold the secret
		err = errors.New("its content is no such address")
	}
	if err != nil {
		log.Warn().Str("event", "secret_unusable").Err(err).Str("variable", variable+"_FILE").
			Msg("a secret's file can't be used: the value from before is used")
		return before.Reveal()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if value != s.values[variable] {
		s.values[variable] = value
		log.Info().Str("event", "secret_changed").Str("variable", variable+"_FILE").Msg("a secret's file has changed: its new value is used")
	}
	return value.Reveal()
}
