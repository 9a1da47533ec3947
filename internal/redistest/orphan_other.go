//go:build !linux

package redistest

import "os/exec"

// dieWithParent does nothing: only Linux can end a server with a test that was killed.
func dieWithParent(*exec.Cmd) {}
