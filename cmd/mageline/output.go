package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log" //nolint:depguard // what libraries write to it goes where the rest of the log goes
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel"

	"github.com/mageline/mageline/internal/logsink"
)

// lastWords is how long the end waits for a reader of stderr that does not read.
const lastWords = time.Second

// stderr is the program's, where nothing waits for whoever reads it. Its goroutine lives as long as the program.
type stderr struct {
	*logsink.Sink
	file *os.File
}

func (s stderr) Fd() uintptr { return s.file.Fd() }

// stdout is the program's. What was written to stderr before comes before it, where both go to the same place. A command
// whose reader has left ends as such tools do, by SIGPIPE: `mageline dlq list | head`.
type stdout struct {
	file *os.File
	err  stderr
	dies func() // restores the default effect of SIGPIPE
	late bool   // nobody reads stderr: it is not waited for again
}

func (s *stdout) Write(p []byte) (int, error) {
	if !s.late {
		s.late = !s.err.Flush(lastWords)
	}
	n, err := s.file.Write(p)
	if errors.Is(err, syscall.EPIPE) {
		s.dies()
		return s.file.Write(p)
	}
	return n, err
}

// standardOutputs returns stdout and stderr. From here on a reader of stderr that is gone ends nothing: Go ends a program that
// writes to a pipe without a reader on its descriptors 1 and 2, unless it has asked for SIGPIPE.
func standardOutputs() (out *stdout, err stderr) {
	pipes := make(chan os.Signal, 1) // nobody reads it
	signal.Notify(pipes, syscall.SIGPIPE)
	err = stderr{logsink.New(os.Stderr), os.Stderr}
	return &stdout{file: os.Stdout, err: err, dies: func() { signal.Stop(pipes) }}, err
}

// logOnly sends to the log whatever libraries would write to stderr themselves, where they would wait for its reader; and
// says, in the log and in a metric, how much of the log nobody has read.
func logOnly(l zerolog.Logger, w io.Writer, registerer prometheus.Registerer) {
	libraries := libraryLog{l}
	log.SetFlags(0)
	log.SetOutput(libraries)
	otel.SetLogger(funcr.New(func(_, args string) { libraries.say(args) }, funcr.Options{}))
	zerolog.ErrorHandler = func(err error) { fmt.Fprintln(w, "mageline: a line of the log could not be written:", err) }
	s, ok := w.(stderr)
	if !ok {
		return // a test's
	}
	s.Gap(func(lines uint64) []byte {
		var line bytes.Buffer
		missing := l.Output(&line)
		missing.Warn().Str("event", "log_dropped").Uint64("lines", lines).
			Msg("lines of the log are missing here: nobody has read them, and the work does not wait for that")
		return line.Bytes()
	})
	registerer.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "mageline_log_dropped_total", Help: "Lines of the log that were not written, because nobody has read those before them.",
	}, func() float64 { return float64(s.Dropped()) }))
}

// libraryLog logs what is written to it, a line at a time.
type libraryLog struct{ log zerolog.Logger }

func (w libraryLog) Write(p []byte) (int, error) {
	w.say(strings.TrimSpace(string(p)))
	return len(p), nil
}

func (w libraryLog) say(text string) { w.log.Warn().Str("event", "library_warning").Msg(text) }
