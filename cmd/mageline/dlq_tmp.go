package main

import "github.com/spf13/cobra"

func newCheck(terminal) *cobra.Command { return &cobra.Command{Use: "check"} }
