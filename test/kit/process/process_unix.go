//go:build unix

package process

import (
	"os"
	"os/exec"
	"syscall"
)

// Signals that freeze a process and let it go on.
var (
	Freeze os.Signal = syscall.SIGSTOP
	Thaw   os.Signal = syscall.SIGCONT
)

// Group has a command run in a process group of its own: Ctrl-C at the terminal does not reach it.
func Group(c *exec.Cmd) {
	attributes(c).Setpgid = true
}

// SignalGroup sends a signal to each process of a started command's group.
func SignalGroup(c *exec.Cmd, signal syscall.Signal) { _ = syscall.Kill(-c.Process.Pid, signal) }

// RunAs has a command run as another user, for which it takes root.
func RunAs(c *exec.Cmd, uid, gid uint32) {
	attributes(c).Credential = &syscall.Credential{Uid: uid, Gid: gid}
}

// Pipe makes a named pipe.
func Pipe(path string) error { return syscall.Mkfifo(path, 0o600) }

func attributes(c *exec.Cmd) *syscall.SysProcAttr {
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{}
	}
	return c.SysProcAttr
}
