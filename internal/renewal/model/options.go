package model

// Fault is something that the world does to the protocol.
type Fault uint8

// The faults. Each time one happens it is counted, against its own limit and
// against the total. What undoes one (a restart, Vault back) is free and may
// come at any later time, or never.
const (
	// LeaseLost: the lease expires although its holder is alive.
	LeaseLost Fault = iota
	// RedisFlush: Redis forgets everything.
	RedisFlush
	// RedisOutage: Redis cannot be reached.
	RedisOutage
	// VaultOutage: Vault can be neither read nor written.
	VaultOutage
	// WriteAnswerLost: Vault wrote, and its answer did not arrive.
	WriteAnswerLost
	// Crash: a process dies. It comes back with its spool.
	Crash
	// SpoolLost: a process that died comes back with an empty spool, as a new owner.
	SpoolLost
	// AnswerLost: the provider's answer does not arrive.
	AnswerLost
	// Delay: the client gives up, and the provider gets the request later.
	Delay
	// PushedBack: the provider proves that it spent nothing.
	PushedBack
	// Pause: a process is stopped, and goes on later where it was.
	Pause
	// DiskStuck: a spool's disk takes no writes.
	DiskStuck
	// NewSeed: a person authorizes again.
	NewSeed
	// SeedAgain: a person stores the first seed once more, or a copy of the living token.
	SeedAgain
	// Backup: somebody copies Vault's storage. Not counted in the total.
	Backup
	// Restore: Vault's storage is put back to the copy.
	Restore
	faults
)

// Budget says how often each fault may come. A fault that is not named never comes.
type Budget map[Fault]uint8

// Options say what is searched.
type Options struct {
	// Faults bounds all faults together.
	Faults uint8
	Budget Budget
	// OneProcess puts both workers into the same process, as when it takes a
	// lease that it had lost.
	OneProcess bool
	// Break is what is wrong with the protocol.
	Break Break
}

// Break switches parts of the protocol off.
type Break struct {
	// NoIntent presents the token without writing the intent.
	NoIntent bool
	// IntentAfterCall writes the intent once the answer is there.
	IntentAfterCall bool
	// OnlyCommitChecks writes the intent without check-and-set.
	OnlyCommitChecks bool
	// TakeoverAtOnce takes over someone else's intent without waiting.
	TakeoverAtOnce bool
	// CancelOnLeaseLost cancels a sent call with its lease, and takes it for not sent.
	CancelOnLeaseLost bool
	// NoOwnerRule takes everybody's intent for one's own.
	NoOwnerRule bool
	// NoSpentList presents a token whatever the lists say.
	NoSpentList bool
	// NoReadBack gives a commit up that meets a conflict.
	NoReadBack bool
	// NoRoom presents the token even if its answer could not be kept.
	NoRoom bool
	// StaleSeedLast takes a stale seed down as the newest one.
	StaleSeedLast bool
	// FormerForgotten leaves it to the spent list alone to know a seed that is a
	// former token of the grant.
	FormerForgotten bool
	// OldReadings writes on the strength of what was read long ago.
	OldReadings bool
	// NothingKept deletes the answers that were committed.
	NothingKept bool
	// DeadCopied takes a copy of a dead grant's own token for a new authorization.
	DeadCopied bool
}

// rotations is the generation at which nothing is due any more.
const rotations = 2

// initial is the first moment: a person has stored a seed, and nothing was done yet.
func (o Options) initial() State {
	first := tokenOf(0, 0)
	s := State{vault: vault{seed: first}, left: o.Faults, lastOwner: 1}
	for f := range faults {
		s.used[f] = o.Budget[f]
	}
	for i := range s.processes {
		s.processes[i] = process{owner: uint8(i), up: true}
	}
	return s
}

// home is the process that a worker belongs to.
func (o Options) home(w int) int {
	if o.OneProcess {
		return 0
	}
	return w
}

// AllFaults are all faults that there are.
func AllFaults() []Fault {
	all := make([]Fault, faults)
	for f := range all {
		all[f] = Fault(f)
	}
	return all
}
