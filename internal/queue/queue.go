package queue

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"refresher/internal/credential"
)

// Claim is what one call of Claim found.
type Claim struct {
	// Entries are due, in the order of their due times, and the caller's until
	// their Until.
	Entries []Claimed
	// Built is false if a part of the index says that it was never built
	// completely, or was lost: the caller should have it built.
	Built bool
	// BuiltBy is what MarkBuilt was last told, empty if the index was not built.
	BuiltBy string
	// Forgot is true if Redis has lost all that it held since this process claimed last, as far
	// as the shards tell that were asked; it is true at the first claim as well, since
	// nobody knows what came before. It can be true twice for one loss.
	Forgot bool
}

// Claimed is an entry that was handed out.
type Claimed struct {
	// Entry is as it was found: Due is when it was due, not when it will be again.
	credential.Entry
	// Until is when the entry is handed out again, unless it is scheduled before.
	Until time.Time
}

// inOrder sorts entries by their due time, and leaves the order of those that
// have the same.
func inOrder(entries []Claimed) {
	slices.SortStableFunc(entries, func(a, b Claimed) int { return a.Due.Compare(b.Due) })
}

// fromMilli is the time that the index stores as ms.
func fromMilli(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// encode writes a memo as the index keeps it.
func encode(m credential.Memo) (string, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return "", fmt.Errorf("encode the memo: %w", err)
	}
	return string(text), nil
}

// decode reads a memo. What cannot be read is as good as lost, and a memo may be
// lost at any time, so the answer is an empty one.
func decode(text string) credential.Memo {
	var m credential.Memo
	if json.Unmarshal([]byte(text), &m) != nil {
		return credential.Memo{}
	}
	// Go reads times that it does not write, such as those a day off UTC. An entry
	// with such a memo could not be put back.
	if _, err := encode(m); err != nil {
		return credential.Memo{}
	}
	return m
}
