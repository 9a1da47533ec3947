package escrow

import "os"

// ReplaceFile puts another file in the place of the one that the answer goes to.
func (s *Slot) ReplaceFile(f *os.File) {
	_ = s.file.Close()
	s.file = f
}

// BreakSpentFile makes every further write to the spent list fail.
func (e *Escrow) BreakSpentFile() error { return e.spent.file.Close() }
