// Command mageline-demo simulates what stands around mageline, a Magento shop and an ERP, and shows mageline at work
// between them: `run` tells a story with failures in it and checks its end; `simulators` serves the two for as long as
// it runs, for docker compose. It is for looking and testing only.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes, as mageline's own: 1 failed, 2 wrong usage.
const (
	failed     = 1
	wrongUsage = 2
)

// errUsage marks what the caller did wrong.
var errUsage = errors.New("usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the default is back: a second one ends it at once.
	context.AfterFunc(ctx, stop)
	err := command().ExecuteContext(ctx)
	stop()
	switch {
	case err == nil:
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "mageline-demo:", err)
		os.Exit(wrongUsage)
	default:
		fmt.Fprintln(os.Stderr, "mageline-demo:", err)
		os.Exit(failed)
	}
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:           "mageline-demo",
		Short:         "A simulated Magento and ERP, and a demonstration of mageline between them",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_ = cmd.Help()
			return fmt.Errorf("%w: choose run or simulators", errUsage)
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w: %w", errUsage, err) })
	root.AddCommand(simulatorsCommand(), runCommand())
	return root
}
