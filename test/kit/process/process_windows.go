package process

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// Signals that freeze a process and let it go on. Windows has none: sending one fails.
var (
	Freeze os.Signal = syscall.SIGTRAP
	Thaw   os.Signal = syscall.SIGTRAP
)

// Group has a command run in a process group of its own: Ctrl-C at the terminal does not reach it.
func Group(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// SignalGroup ends the command alone: Windows' groups take no signals.
func SignalGroup(c *exec.Cmd, _ syscall.Signal) { _ = c.Process.Kill() }

// RunAs leaves the user as it is.
func RunAs(*exec.Cmd, uint32, uint32) {}

// Pipe is not possible.
func Pipe(string) error { return errors.ErrUnsupported }
