package redistest

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the system kill the server when the thread that starts it
// ends, as it does when a test is killed or runs into its time limit.
func dieWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
