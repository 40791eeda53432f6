//go:build bench

package main

import (
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
)

// In the program that test/bench builds with this tag, BENCH_PROFILE names the file of a CPU profile, which lasts from the
// start of the process to SIGTERM. Everything else is the real program.
func init() {
	path := os.Getenv("BENCH_PROFILE")
	if path == "" {
		return
	}
	f, err := os.Create(path) //nolint:gosec // the bench names it
	if err != nil {
		panic(err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		panic(err)
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	go func() {
		<-end
		pprof.StopCPUProfile() // writes the file; the drain takes longer
		_ = f.Close()
	}()
}
