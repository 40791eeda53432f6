//go:build unix

package deadletter

import (
	"os"
	"syscall"
)

// lockFile keeps the file from another discard until it is closed.
func lockFile(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
