// Package freeport finds ports for the servers that the tests start.
package freeport

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"syscall"
)

// Find gives n free TCP ports of 127.0.0.1, each different. They lie below those from which whoever asks for any port is
// served; somebody else may take one all the same before it is used.
func Find(n int) (free []int, err error) {
	const from, to, tries = 20000, 32000, 1000
	for range tries {
		if len(free) == n {
			return free, nil
		}
		port := from + rand.IntN(to-from)
		l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look for a free port: %w", err)
		}
		defer func() { _ = l.Close() }() // held until all are found, so that none comes twice
		free = append(free, port)
	}
	return nil, fmt.Errorf("found %d free ports of 127.0.0.1 between %d and %d in %d tries, want %d", len(free), from, to, tries, n)
}
