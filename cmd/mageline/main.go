// Command mageline carries events from Magento's RabbitMQ to everything that is not commerce. See the README.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
	_ "time/tzdata" // the image has no time zones of its own

	"github.com/spf13/cobra"
)

// Set by the linker.
var (
	version = "dev"
	commit  = "unknown"
)

func main() {
	out, err := standardOutputs()
	end := func(code int) {
		err.Close(lastWords)
		os.Exit(code)
	}
	ctx, stop := untilSignal(context.Background(), func() {
		fmt.Fprintln(err, "mageline: a second signal: ended at once; what was in flight is delivered again")
		end(exitFailed)
	})
	code := run(ctx, os.Args[1:], terminal{in: os.Stdin, out: out, err: err})
	stop()
	end(code)
}

// Exit codes.
const (
	exitWell    = 0
	exitFailed  = 1
	exitUsage   = 2
	exitPartial = 3
)

// exitError ends the program with a code. Its text, if it has one, goes to stderr.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// terminal is where a command reads and writes: results go to out, everything else to err.
type terminal struct {
	in       io.Reader
	out, err io.Writer
}

// run runs one command and returns the exit code.
func run(ctx context.Context, args []string, t terminal) int {
	root := newRoot(t)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitWell
	}
	var exit *exitError
	if errors.As(err, &exit) {
		if exit.err != nil {
			fmt.Fprintln(t.err, "mageline:", exit.err)
		}
		return exit.code
	}
	// What cobra itself refuses: an unknown command or flag, a wrong number of arguments.
	fmt.Fprintln(t.err, "mageline:", err)
	fmt.Fprintln(t.err, "See: mageline --help")
	return exitUsage
}

// missingCommand is the answer to a command that does nothing by itself.
func missingCommand(cmd *cobra.Command, want string) error {
	return errors.Join(cmd.Usage(), &exitError{exitUsage, fmt.Errorf("%s: want %s", cmd.CommandPath(), want)})
}

// failed makes an error that ends the program with exit code 1.
func failed(err error) error {
	if err == nil {
		return nil
	}
	return &exitError{exitFailed, err}
}

// oneStop is how close together signals mean one wish to end: a kubelet and a shell both deliver it, and whoever presses
// Ctrl-C twice in haste wants no more.
const oneStop = time.Second

// untilSignal returns a context that ends at the first SIGTERM or SIGINT. One that comes oneStop or more after it calls endNow.
func untilSignal(ctx context.Context, endNow func()) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	done := make(chan struct{})
	go func() {
		var first time.Time
		for {
			select {
			case <-signals:
			case <-done:
				return
			}
			switch {
			case first.IsZero():
				first = time.Now()
				cancel()
			case time.Since(first) >= oneStop:
				endNow()
				return
			}
		}
	}()
	return ctx, func() { // signals are ignored from now on: what is left are the last lines of the log
		close(done)
		cancel()
	}
}

func newRoot(t terminal) *cobra.Command {
	var replayQueue string
	replayFlags := &replayFlags{}
	root := &cobra.Command{
		Use:   "mageline",
		Short: "The line between Magento and everything that is not commerce",
		Long: `mageline takes the events that Magento publishes to RabbitMQ and does the heavy work for them: it maps orders to an ERP
and tells Magento the document number. Without a command it consumes, as "mageline run" does.

Everything is set by environment variables: see "mageline config".`,
		Example: `  mageline                                            consume until SIGTERM
  mageline --replay-dlq mageline.order_placed.dlq     send dead letters back to their queue
  mageline check                                      is everything there that the consumers need?`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("replay-dlq") { // also with nothing, as where a shell's variable is empty: that must not consume
				return replay(cmd.Context(), t, replayQueue, replayFlags)
			}
			if changed := replayFlags.changed(cmd); changed != "" {
				return &exitError{exitUsage, fmt.Errorf("--%s goes with --replay-dlq QUEUE, which is missing", changed)}
			}
			return consume(cmd.Context(), t)
		},
	}
	root.SetIn(t.in)
	root.SetOut(t.out)
	root.SetErr(t.err)
	root.Flags().StringVar(&replayQueue, "replay-dlq", "", "replay this dead-letter queue, and consume nothing else")
	replayFlags.register(root)
	root.AddCommand(
		newRun(t), newConfig(t), newCheck(t), newMigrate(t), newTopology(t), newVersion(t),
		newDLQ(t), newKey(t), newReconcile(t), newPause(t), newResume(t),
		newPublish(t), newTracking(t), newImport(t), newExport(t), newPrices(t), newWatermarks(t), newMapping(t), newReindex(t),
	)
	setExamples(root)
	return root
}

// setExamples adds an example to each command that cobra brings, as all others have one.
func setExamples(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	examples := map[string]string{
		"help":       "  mageline help dlq replay",
		"completion": "  source <(mageline completion bash)",
		"bash":       "  mageline completion bash > /etc/bash_completion.d/mageline",
		"zsh":        `  mageline completion zsh > "${fpath[1]}/_mageline"`,
		"fish":       "  mageline completion fish > ~/.config/fish/completions/mageline.fish",
		"powershell": "  mageline completion powershell | Out-String | Invoke-Expression",
	}
	for _, cmd := range root.Commands() {
		for _, one := range append(cmd.Commands(), cmd) {
			if example, ok := examples[one.Name()]; ok && one.Example == "" {
				one.Example = example
			}
		}
	}
}

func newRun(t terminal) *cobra.Command {
	return &cobra.Command{
		Use:     "run",
		Short:   "Migrate, declare the topology, consume until SIGTERM or SIGINT",
		Long:    "Exit code 0 after a clean drain, 3 when handlers had to be cut, 1 at a second signal that comes a second or more after the first.",
		Example: "  MAGELINE_MAGENTO_URL=https://shop.example MAGELINE_MAGENTO_TOKEN_FILE=/run/secrets/magento mageline run",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return consume(cmd.Context(), t) },
	}
}
