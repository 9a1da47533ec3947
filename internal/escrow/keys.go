package escrow

import (
	"context"
	"crypto/hpke"
	"errors"
	"fmt"
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

// KeyStore is where the private keys live. CreateKey fails with
// credential.ErrConflict if there is a key of that ID already.
type KeyStore interface {
	Keys(ctx context.Context) ([]Key, error)
	CreateKey(ctx context.Context, key Key) error
}

// firstKeyID is the ID of the key that the first process makes. It is the same
// for all, so that of several starting at once one makes it and the others use it.
const firstKeyID = "1"

// publicFor is how long a public key is used before Vault is asked whether a
// newer one is there.
const publicFor = time.Hour

// keyring holds the public key in use. Private keys are read from Vault when an
// answer is opened, which is rare, and not kept.
type keyring struct {
	store KeyStore

	mu     sync.Mutex
	id     string
	public hpke.PublicKey
	until  time.Time
}

// sealing returns the newest public key and its ID, making the first key if
// there is none.
func (k *keyring) sealing(ctx context.Context) (string, hpke.PublicKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.public != nil && time.Now().Before(k.until) {
		return k.id, k.public, nil
	}
	newest, err := k.newest(ctx)
	if err != nil {
		if k.public != nil {
			return k.id, k.public, nil // the key known so far is as good
		}
		return "", nil, err
	}
	private, err := parsePrivateKey(newest.Private)
	if err != nil {
		return "", nil, fmt.Errorf("escrow key %s: %w", newest.ID, err)
	}
	k.id, k.public, k.until = newest.ID, private.PublicKey(), time.Now().Add(publicFor)
	return k.id, k.public, nil
}

func (k *keyring) newest(ctx context.Context) (Key, error) {
	keys, err := k.store.Keys(ctx)
	if err != nil {
		return Key{}, fmt.Errorf("read the escrow keys: %w", err)
	}
	if len(keys) == 0 {
		if keys, err = k.create(ctx); err != nil {
			return Key{}, err
		}
	}
	newest := keys[0]
	for _, key := range keys[1:] {
		if key.CreatedAt.After(newest.CreatedAt) || key.CreatedAt.Equal(newest.CreatedAt) && key.ID > newest.ID {
			newest = key
		}
	}
	return newest, nil
}

// create makes the first key. What was written is read back, since another
// process may have been faster, or our own write may have succeeded unheard.
func (k *keyring) create(ctx context.Context) ([]Key, error) {
	key, err := NewKey(firstKeyID, time.Now())
	if err != nil {
		return nil, err
	}
	createErr := k.store.CreateKey(ctx, key)
	keys, err := k.store.Keys(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the escrow keys: %w", err)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("create the first escrow key: %w", errors.Join(createErr, errors.New("it is not there")))
	}
	return keys, nil
}

// open decrypts sealed bytes and returns what they are an answer to.
func (k *keyring) open(ctx context.Context, sealed []byte) (Ref, []byte, error) {
	e, ciphertext, err := parseEnvelope(sealed)
	if err != nil {
		return Ref{}, nil, err
	}
	keys, err := k.store.Keys(ctx)
	if err != nil {
		return Ref{}, nil, fmt.Errorf("read the escrow keys: %w", err)
	}
	for _, key := range keys {
		if key.ID != e.KeyID {
			continue
		}
		private, err := parsePrivateKey(key.Private)
		if err != nil {
			return Ref{}, nil, fmt.Errorf("escrow key %s: %w", key.ID, err)
		}
		plain, err := hpke.Open(private, kdf(), aead(), e.info(), ciphertext)
		if err != nil {
			return Ref{}, nil, fmt.Errorf("%w: the seal of %s does not open with key %s", ErrUnreadable, e.ref().ID, key.ID)
		}
		return e.ref(), plain, nil
	}
	return Ref{}, nil, fmt.Errorf("escrow key %s is gone from Vault: the answer for %s cannot be opened until it is restored", e.KeyID, e.ref().ID)
}
