package model

// Everything here is a small number, so that a State can be compared, hashed and
// copied as one piece of memory.

// token is a refresh token and the access token that was issued with it. 0 is none.
type token uint8

const (
	families  = 2 // a family is what one authorization by a person began
	perFamily = 5
	tokens    = 1 + families*perFamily
)

func tokenOf(family, index uint8) token { return token(1 + family*perFamily + index) }
func (t token) family() uint8           { return (uint8(t) - 1) / perFamily }
func (t token) index() uint8            { return (uint8(t) - 1) % perFamily }

// attempt is the ID of a presentation or a claim. 0 is none.
type attempt uint8

const attempts = 1 + 9

// answer is what a provider said. The ones from gaveToken on hand out a token.
type answer uint8

const (
	noAnswer  answer = iota
	refused          // invalid_grant
	busy             // 429: a proof that nothing was spent
	gaveToken        // gaveToken + t: the token was rotated to t
)

func (a answer) token() token {
	if a < gaveToken {
		return 0
	}
	return token(a - gaveToken)
}

// marks is a spent list: what is known of each token, two bits each.
type marks uint32

const (
	unmarked marks = iota
	markSent
	markUnspent
	markRotated
)

func (m marks) of(t token) marks               { return m >> (2 * t) & 3 }
func (m marks) with(t token, mark marks) marks { return m&^(3<<(2*t)) | mark<<(2*t) }

// mayPresent is escrow.mayPresent, on disk, and presentScript, in Redis.
func (m marks) mayPresent(t token, probe bool) bool {
	mark := m.of(t)
	return mark == unmarked || mark == markUnspent || mark == markSent && probe
}

// document is credential.Grant. Its times are in State.tokenAge and State.facts.
type document struct {
	state  uint8
	rt     token // the refresh token
	at     token // the access token, by the refresh token that came with it
	gen    uint8
	open   attempt // of the open intent
	later  bool    // Intent.NotBefore is set, which is always to the expiry of at
	seeds  uint16  // the seeds adopted so far, one bit each
	newest token   // the last of them
}

const (
	absent uint8 = iota
	idle
	intent
	dead
)

func (d document) adopted(seed token) bool { return d.seeds>>seed&1 == 1 }

func (d document) adopt(seed token) document {
	d.seeds, d.newest = d.seeds|1<<seed, seed
	return d
}

// vault is what Vault's storage holds.
type vault struct {
	version uint8 // of the grant
	grant   document
	seed    token // in the credential
	// What is published.
	gen    uint8
	at     token
	person bool // the status is needs_authorization
}

// facts are what is written with an attempt and never changes.
type facts struct {
	token   token
	seed    token // of the authorization that token comes from
	owner   uint8
	age     uint8 // since BeganAt
	probe   bool
	claim   bool
	foreign bool
	earlier uint16 // Intent.Earlier, one bit each
}

// pc is the step that a worker does next.
type pc uint8

const (
	resting pc = iota
	writeIntent
	readBackIntent
	gate
	send
	await
	seal
	copySeal
	commit
	readBack
	publish
	clearCopies
	closeIntent
	changedMeanwhile
	writeDead
	putOff
	publishDead
	claim
	bringForward
)

// worker is a goroutine that visits the credential or drains the spool.
type worker struct {
	pc       pc
	version  uint8    // turn.read
	read     document // what was read, or written, under that version
	old      bool     // that was longer ago than a send deadline: Limits.old
	grant    document // turn.grant
	gen      uint8    // the published generation as read; then that of the next grant
	att      attempt  // Ref.Attempt
	answer   answer
	waited   uint8 // since the send deadline began to run
	probe    bool
	held     bool // a Slot is open: Escrow.Held(att)
	drain    bool // commit tries once
	room     bool // there was room for the answer before the intent
	excused  bool // no spent list that could be asked knew the token
	underWay bool // the request is on its way to the provider
	forward  bool // the commit comes with a claim: Vault was put back
}

// process is a replica.
type process struct {
	owner  uint8
	up     bool
	paused bool
	stuck  bool // the spool's disk takes no writes
	late   bool // it has only just come back
	spent  marks
	watch  attempt // the claim that is being watched
	seen   uint8   // for how long
	spool  [attempts]answer
	kept   kept // the last committed answer that the spool has
}

// orphan is a request that nobody waits for any more, and that the provider may still get.
type orphan struct {
	token token
	att   attempt
}

// State is everything at one moment: the world and the workers, and what the
// model notes about the past to check the invariants.
type State struct {
	vault     vault
	backup    vault
	hasBackup bool
	vaultDown bool
	redisDown bool
	lease     uint8 // the worker that has it, plus one
	spent     marks // the list in Redis
	copies    [attempts]answer
	kept      kept            // the last committed answer that Redis has
	living    [families]uint8 // the index of the token that the provider would take
	tokenAge  [tokens]uint8   // since it was issued
	facts     [attempts]facts
	lastTry   attempt
	lastOwner uint8
	orphans   [2]orphan
	processes [2]process
	workers   [2]worker

	// The past.
	unproven  [tokens]uint8 // presentations not known to have spent nothing
	restored  bool          // Vault's storage was put back
	struck    bool          // something else went wrong
	highest   uint8         // generation published
	highestAt token         // and its token
	wrong     Wrong

	// left is how many faults may still come, used how often each has.
	left uint8
	used [faults]uint8
}

// answerAge is how old an answer is: as old as the token in it.
func (s *State) expired(t token) bool { return t == 0 || s.tokenAge[t] >= Lifetime }

func (s *State) isLiving(t token) bool { return t != 0 && t.index() == s.living[t.family()] }

// newAttempt allots the next attempt.
func (s *State) newAttempt(f facts) attempt {
	s.lastTry++
	s.facts[s.lastTry] = f
	return s.lastTry
}
