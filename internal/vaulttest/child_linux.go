package vaulttest

import "syscall"

// childOfTest has the kernel end the server when the thread that starts it ends, as
// it does when the test's process dies without having cleaned up.
func childOfTest() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
