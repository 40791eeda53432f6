package main

import (
	"context"

	"github.com/spf13/cobra"
)

type replayFlags struct{}

func (*replayFlags) changed(*cobra.Command) string { return "" }
func (*replayFlags) register(*cobra.Command)       {}
func replay(context.Context, terminal, string, *replayFlags) error { return nil }
func newDLQ(terminal) *cobra.Command { return &cobra.Command{Use: "dlq"} }
func newCheck(terminal) *cobra.Command { return &cobra.Command{Use: "check"} }
