//go:build !linux

package alerts

import "syscall"

// childOfTest asks for nothing: only Linux ends a child with its parent.
func childOfTest() *syscall.SysProcAttr { return nil }
