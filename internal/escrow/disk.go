package escrow

// Disk is what a file system says of itself.
type Disk struct {
	// FreeBytes is what this user may still write, of SizeBytes in all.
	FreeBytes, SizeBytes uint64
	FreeFiles            uint64
	// Volatile says why what is on it does not outlive the process's machine or
	// container; empty if nothing speaks against it.
	Volatile string
}
