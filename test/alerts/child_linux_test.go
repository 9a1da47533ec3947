package alerts

import "syscall"

// childOfTest has the system end a program when the thread that started it ends,
// as it does when a test is killed or runs into its time limit.
func childOfTest() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
