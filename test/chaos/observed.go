package main

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"sync"
	"time"
)

// hash is how the rig, like the simulators' ledger, speaks of a token.
func hash(token string) string {
	if token == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// attempt is one presentation of a refresh token as the rig saw it, from its
// intent on.
type attempt struct {
	ID, Name  string
	Replica   int
	Presented string // the hash of the token
	Probe     bool   // the intent says so
	IntentAt  time.Time
	Landed    time.Time // when the intent was first seen in Vault
	SentAt    time.Time
	Roomless  bool      // no room in the spool had been made for the answer when it was presented
	Forwarded bool      // the request reached the provider
	Issued    string    // the hash of the refresh token in the provider's own answer
	Unspent   bool      // the process was told, in whole, that the token was not spent
	Delivered bool      // the provider's own answer was passed on in whole
	Arrived   time.Time // when it was, if it was
	Spooled   time.Time
	Copied    time.Time
	Unspooled bool // it was copied to Redis, and was not in the spool
	// Taken are the faults that took the spool away with the answer in it.
	Taken  []taking
	Faults []*Fault
}

// taking is a fault that took a spool away, and whether Redis had a copy of the answer then.
type taking struct {
	*Fault
	Copied bool
}

// publication is one write of a published token that took place.
type publication struct {
	At         time.Time
	Epoch      int // how often Vault had been set back
	Version    int // in Vault, which orders the writes of an epoch
	Generation int
	Status     string
	Access     string // the hash of the access token
	Expires    time.Time
}

// lag is the time from a commit to its publication.
type lag struct {
	id        string
	committed time.Time
	took      time.Duration
}

// death is a grant that the service gave up.
type death struct {
	At    time.Time
	ID    string
	Token string // the hash of the refresh token that the document held
	// Alive: the provider would have taken that token.
	Alive bool
	Cause string // the verdict's
}

// observed is what the rig saw, for the verdict. It is safe for concurrent use.
type observed struct {
	mu            sync.Mutex
	attempts      map[string]*attempt         // by name
	latest        map[int]map[string]*attempt // by replica and ID: the last intent that was written
	presentations map[string][]*attempt       // by the token's hash, in order
	unintended    []string                    // presentations without an intent
	owners        map[string]string           // by the token's hash: whose it is
	generations   map[string]int              // by ID: the newest that stands in Vault
	inVault       map[string]time.Time        // by the refresh token's hash: when it was first seen in Vault
	published     map[string][]publication    // by ID
	deaths        map[string]*death           // by ID and the token's hash
	shown         map[string]int              // by ID: the newest generation that was published
	committed     map[string]time.Time        // by ID: when the newest generation was committed, until it is published
	behind        []string                    // those whose publication lagged by more than one commit
	lags          []lag                       // of each commit that was published
	leases        map[string]bool             // by tenant and owner
	epoch         int                         // how often Vault was set back
	forgotten     map[string]bool             // by ID: grants that have forgotten a presentation since
	commits       int
}

func newObserved() *observed {
	return &observed{
		attempts: map[string]*attempt{}, latest: map[int]map[string]*attempt{}, presentations: map[string][]*attempt{},
		owners: map[string]string{}, generations: map[string]int{}, inVault: map[string]time.Time{},
		shown: map[string]int{}, committed: map[string]time.Time{}, published: map[string][]publication{}, deaths: map[string]*death{}, leases: map[string]bool{},
		forgotten: map[string]bool{},
	}
}

// generation returns the newest generation of a grant that was seen in Vault.
func (o *observed) generation(id string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.generations[id]
}

// intent takes down an intent on its way to Vault.
func (o *observed) intent(replica int, call vaultCall) *attempt {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := &attempt{
		ID: call.ID, Name: call.Doc.Intent.Attempt, Replica: replica, Presented: hash(call.Doc.RefreshToken),
		Probe: call.Doc.Intent.Probe, IntentAt: time.Now(),
	}
	o.attempts[a.Name] = a
	if o.latest[replica] == nil {
		o.latest[replica] = map[string]*attempt{}
	}
	o.latest[replica][a.ID] = a
	o.owners[a.Presented] = a.ID
	return a
}

// attempt returns what is known of an attempt; nil if nothing.
func (o *observed) attempt(name string) *attempt {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.attempts[name]
}

// current returns a replica's last attempt for a credential; nil if there is none.
func (o *observed) current(replica int, id string) *attempt {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.latest[replica][id]
}

// ownerOf returns the credential that a presented token belongs to.
func (o *observed) ownerOf(hash string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.owners[hash]
}

// firstSight reports whether this lease is new, and not one that is extended.
func (o *observed) firstSight(tenant, owner string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	key := tenant + " " + owner
	known := o.leases[key]
	o.leases[key] = true
	return !known
}

// grant takes in a grant that stands in Vault: it was written there, or read. It
// reports whether this is the first that is seen of the grant's death.
func (o *observed) grant(id string, doc document, written bool) (died bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	token := hash(doc.RefreshToken)
	if doc.Generation > o.generations[id] {
		o.generations[id] = doc.Generation
		if written && doc.State == "idle" {
			o.commit(id, doc.Generation)
		}
	}
	if _, known := o.inVault[token]; !known {
		o.inVault[token] = time.Now()
	}
	o.remember(id, doc)
	if doc.Intent != nil {
		if a := o.attempts[doc.Intent.Attempt]; a != nil && a.Landed.IsZero() {
			a.Landed = time.Now()
		}
	}
	if doc.State != "dead" || o.deaths[id+" "+token] != nil {
		return false
	}
	o.deaths[id+" "+token] = &death{At: time.Now(), ID: id, Token: token}
	return true
}

// commit takes in a new generation. The one before must have been published.
func (o *observed) commit(id string, generation int) {
	o.commits++
	o.committed[id] = time.Now()
	if shown, known := o.shown[id]; known && shown < generation-1 {
		o.behind = append(o.behind, id)
	}
}

// show takes in the generation of a published token that stands in Vault.
func (o *observed) show(id string, generation int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.shown[id] = max(o.shown[id], generation)
	if at, open := o.committed[id]; open && generation >= o.generations[id] {
		o.lags = append(o.lags, lag{id, at, time.Since(at)})
		delete(o.committed, id)
	}
}

// died takes down whether the provider would have taken the token of a grant that
// was given up: its grant lives, and this token of it was not rotated.
func (o *observed) died(id, token string, grantLives bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	presented := hash(token)
	rotated := slices.ContainsFunc(o.presentations[presented], func(a *attempt) bool { return a.Issued != "" })
	o.deaths[id+" "+presented].Alive = grantLives && !rotated
}

// publish takes in a published token that was written.
func (o *observed) publish(id string, version int, doc document) {
	o.mu.Lock()
	defer o.mu.Unlock()
	expires, _ := time.Parse(time.RFC3339Nano, doc.ExpiresAt)
	o.published[id] = append(o.published[id], publication{
		At: time.Now(), Epoch: o.epoch, Version: version, Generation: doc.Generation, Status: doc.Status,
		Access: hash(doc.AccessToken), Expires: expires,
	})
}

// present takes down that a refresh token has left a process, and returns the
// attempt that it belongs to: the replica's last intent for the credential, if that
// one names the token and has not been presented yet.
func (o *observed) present(replica int, id, token string) *attempt {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := o.latest[replica][id]
	if a == nil || a.Presented != hash(token) || !a.SentAt.IsZero() {
		o.unintended = append(o.unintended, id)
		a = &attempt{ID: id, Name: "none", Replica: replica, Presented: hash(token)}
	}
	a.SentAt = time.Now()
	o.presentations[a.Presented] = append(o.presentations[a.Presented], a)
	return a
}

// note changes an attempt under the lock.
func (o *observed) note(a *attempt, change func(*attempt)) {
	if a == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	change(a)
}

// remember takes in that a grant knows again of what it had forgotten: it has another token
// than one that was presented, is being probed, taken over or brought forward, or is dead.
func (o *observed) remember(id string, doc document) {
	probed := doc.Intent != nil && (doc.Intent.Probe || doc.Intent.Claim)
	if probed || doc.State == "dead" || len(o.presentations[hash(doc.RefreshToken)]) == 0 {
		delete(o.forgotten, id)
	}
}

// forgetful reports whether there are grants that have forgotten a presentation.
func (o *observed) forgetful() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.forgotten) > 0
}

// setBack takes down that Vault's storage was put back to a copy that was begun at a time: what
// was newest is not any more, and intents from since then are forgotten.
func (o *observed) setBack(copied time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.epoch++
	for _, a := range o.attempts {
		if a.IntentAt.After(copied) {
			o.forgotten[a.ID] = true
		}
	}
	clear(o.generations)
	clear(o.shown)
	clear(o.committed)
}

// rotations returns how many new generations were committed.
func (o *observed) rotations() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.commits
}
