package escrow

import (
	"cmp"
	"context"
	"crypto/hpke"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"refresher/internal/credential"
)

// Key is one private key as Vault keeps it.
type Key struct {
	ID      string
	Private credential.Secret
	// Public belongs to Private; it is kept for people to compare.
	Public    string
	CreatedAt time.Time
}

// KeyStore is where the private keys live.
type KeyStore interface {
	// Keys returns those that can be read, even if others cannot and it fails.
	Keys(ctx context.Context) ([]Key, error)
	// CreateKey fails with credential.ErrConflict if there is, or was, a key of that ID.
	CreateKey(ctx context.Context, key Key) error
}

// FirstKeyID is the ID of the key that the first process makes. It is the same
// for all, so that of several starting at once one makes it and the others use it.
const FirstKeyID = "1"

// publicFor is how long a public key is used before Vault is asked whether a
// newer one is there.
const publicFor = time.Hour

// sealingKey is the public half of a key, to which answers are sealed.
type sealingKey struct {
	id     string
	public hpke.PublicKey
}

// keyring holds the public key in use. Private keys are read from Vault when an
// answer is opened, which is rare, and not kept.
type keyring struct {
	store KeyStore

	mu      sync.Mutex
	current sealingKey
	until   time.Time
}

// sealing returns the newest public key, making the first key if there is none.
// Nobody waits here for another's request to Vault.
func (k *keyring) sealing(ctx context.Context) (sealingKey, error) {
	k.mu.Lock()
	current, until := k.current, k.until
	k.mu.Unlock()
	known := current.public != nil
	if known && time.Now().Before(until) {
		return current, nil
	}
	newest, err := k.newest(ctx)
	if err != nil {
		if known {
			return current, nil // the key known so far is as good
		}
		return sealingKey{}, fmt.Errorf("%w: %w", ErrKeys, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.current, k.until = newest, time.Now().Add(publicFor)
	return newest, nil
}

func (k *keyring) newest(ctx context.Context) (sealingKey, error) {
	keys, err := k.store.Keys(ctx)
	if len(keys) == 0 && err == nil {
		keys, err = k.create(ctx)
	}
	if len(keys) == 0 {
		return sealingKey{}, fmt.Errorf("read the escrow keys: %w", err)
	}
	newest := slices.MaxFunc(keys, func(a, b Key) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	private, err := newest.parse()
	if err != nil {
		return sealingKey{}, err
	}
	return sealingKey{id: newest.ID, public: private.PublicKey()}, nil
}

// create makes the first key. What was written is read back, since another
// process may have been faster, or our own write may have succeeded unheard.
func (k *keyring) create(ctx context.Context) ([]Key, error) {
	key, err := NewKey(FirstKeyID, time.Now())
	if err != nil {
		return nil, err
	}
	createErr := k.store.CreateKey(ctx, key)
	keys, err := k.store.Keys(ctx)
	switch {
	case len(keys) > 0:
		return keys, nil
	case errors.Is(createErr, credential.ErrConflict) && err == nil:
		return nil, fmt.Errorf("key %s was deleted from Vault: undelete it, or delete its metadata too, and a new one is made", FirstKeyID)
	default:
		return nil, fmt.Errorf("there is no escrow key, and key %s could not be made (if it was deleted, undelete it): %w", FirstKeyID, errors.Join(createErr, err))
	}
}

// open decrypts sealed bytes and returns what they are an answer to.
func (k *keyring) open(ctx context.Context, sealed []byte) (Ref, []byte, error) {
	e, ciphertext, err := parseEnvelope(sealed)
	if err != nil {
		return Ref{}, nil, err
	}
	if e.Version != envelopeVersion {
		return Ref{}, nil, fmt.Errorf("the answer for %s cannot be opened: %w (format %d), which alone can", e.ref().ID, ErrOtherVersion, e.Version)
	}
	keys, err := k.store.Keys(ctx)
	at := slices.IndexFunc(keys, func(key Key) bool { return key.ID == e.KeyID })
	if at < 0 && err != nil {
		return Ref{}, nil, fmt.Errorf("%w: read the escrow keys: %w", ErrKeys, err)
	}
	if at < 0 {
		return Ref{}, nil, fmt.Errorf("%w: escrow key %q is gone from Vault: the answer for %s cannot be opened until it is restored", ErrKeys, e.KeyID, e.ref().ID)
	}
	private, err := keys[at].parse()
	if err != nil {
		return Ref{}, nil, fmt.Errorf("%w: %w", ErrKeys, err)
	}
	plain, err := hpke.Open(private, kdf(), aead(), e.info(), ciphertext)
	if err != nil {
		return Ref{}, nil, fmt.Errorf("%w: the seal of %s does not open with key %s", ErrUnreadable, e.ref().ID, e.KeyID)
	}
	return e.ref(), plain, nil
}
