package renewal

import (
	"crypto/rand"
	"encoding/hex"
)

// The events that an Observer counts.
const (
	EventSeedAdopted    = "seed_adopted"    // a person authorized, first or again
	EventIntentConflict = "intent_conflict" // another worker was faster
	EventCommitConflict = "commit_conflict" // a commit's check-and-set did not pass at once
	EventProbe          = "probe"           // a token was presented again, on record
	EventTakeover       = "takeover"        // another owner's intent was taken over
	EventRecovered      = "recovered"       // a sealed answer was committed after the fact
	EventBroughtForward = "brought_forward" // Vault was put back, and a later token was kept
	EventAnswerLost     = "answer_lost"     // a probe found the token spent: its answer never reached us
	EventSetAside       = "set_aside"       // an answer was overtaken by a new seed, or nobody can find its token
	EventSpentRefused   = "spent_refused"   // the spent list kept a token from going out again
	EventNotSealed      = "not_sealed"      // an answer could be kept nowhere but in memory
	EventNoRoom         = "no_room"         // no rotation began, because its answer could not have been kept
	EventWarning        = "warning"         // an odd answer
)

// Events are all events, for those who declare metrics.
func Events() []string {
	return []string{
		EventSeedAdopted, EventIntentConflict, EventCommitConflict, EventProbe, EventTakeover, EventRecovered,
		EventBroughtForward, EventAnswerLost, EventSetAside, EventSpentRefused, EventNotSealed, EventNoRoom, EventWarning,
	}
}

func randomHex() string {
	raw := make([]byte, 16)
	_, _ = rand.Read(raw) // never fails
	return hex.EncodeToString(raw)
}
