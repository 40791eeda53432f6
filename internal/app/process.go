package app

import (
	"io"
	"os"
	"strconv"
	"time"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/internal/config"
)

// NewLog makes the log that the configuration asks for.
func NewLog(cfg *config.Config, w io.Writer) zerolog.Logger {
	zerolog.TimeFieldFormat = time.RFC3339Nano
	zerolog.DurationFieldUnit = time.Second
	level, err := zerolog.ParseLevel(string(cfg.LogLevel))
	if err != nil {
		level = zerolog.InfoLevel // config has checked it
	}
	if cfg.LogFormat == config.Console {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly}
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}

// process is the name by which other processes know this one.
func process() string {
	return Host() + "/" + strconv.Itoa(os.Getpid())
}

// Host returns the name of this machine.
func Host() string {
	host, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return host
}
