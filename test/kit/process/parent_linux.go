package process

import (
	"os/exec"
	"syscall"
)

// DieWithParent has a command killed when this process ends, however it ends.
func DieWithParent(c *exec.Cmd) { attributes(c).Pdeathsig = syscall.SIGKILL }
