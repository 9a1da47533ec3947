package vaulttest

import "syscall"

// childOfTest has the kernel end the server when the test's process dies without
// having cleaned up, as after a time-out of go test.
func childOfTest() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
