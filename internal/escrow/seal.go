package escrow

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"refresher/internal/credential"
)

// Ref names one presentation of a refresh token: whose, which attempt, and the
// hash of the token that was presented.
type Ref struct {
	ID        credential.ID
	Attempt   string
	Presented string
}

// envelope is the clear first line of a sealed answer; the ciphertext follows.
// Later formats keep this line, so that a version which cannot open an answer
// still sees whose it is.
type envelope struct {
	Version   int       `json:"v"`
	KeyID     string    `json:"key"`
	Tenant    string    `json:"tenant"`
	Name      string    `json:"name"`
	Attempt   string    `json:"attempt"`
	Presented string    `json:"presented"`
	SealedAt  time.Time `json:"sealed_at"`
	// The lineage says which of a credential's answers is the last, and nothing else is
	// decided by it: it is not bound into the seal.
	Lineage
	// Size is the ciphertext's: less is torn, more is room that was not used.
	Size int `json:"size"`
}

// Lineage is the place of an answer in the life of a grant: the hash of the seed that its
// authorization began with, and how often the refresh token was replaced since.
type Lineage struct {
	Seed     string `json:"seed,omitempty"`
	Rotation int    `json:"rotation,omitempty"`
}

// After reports whether an answer comes later than another of the same authorization.
func (l Lineage) After(other Lineage) bool {
	return l.Seed != "" && l.Seed == other.Seed && l.Rotation > other.Rotation
}

const envelopeVersion = 1

func kem() hpke.KEM   { return hpke.DHKEM(ecdh.X25519()) }
func kdf() hpke.KDF   { return hpke.HKDFSHA256() }
func aead() hpke.AEAD { return hpke.AES256GCM() }

// NewKey returns a fresh key pair, in the text form that Vault keeps.
func NewKey(id string, now time.Time) (Key, error) {
	private, err := kem().GenerateKey()
	if err != nil {
		return Key{}, fmt.Errorf("make an escrow key: %w", err)
	}
	raw, err := private.Bytes()
	if err != nil {
		return Key{}, fmt.Errorf("encode an escrow key: %w", err)
	}
	return Key{
		ID: id, Private: credential.Secret(base64.StdEncoding.EncodeToString(raw)),
		Public: base64.StdEncoding.EncodeToString(private.PublicKey().Bytes()), CreatedAt: now.UTC(),
	}, nil
}

// parse reads the private key. Its errors leave out the cause, which might show
// some of the key.
func (k Key) parse() (hpke.PrivateKey, error) {
	raw, err := base64.StdEncoding.DecodeString(k.Private.Reveal())
	if err != nil {
		return nil, fmt.Errorf("escrow key %q in Vault is not base64", k.ID)
	}
	private, err := kem().NewPrivateKey(raw)
	if err != nil {
		return nil, fmt.Errorf("escrow key %q in Vault is not an X25519 private key", k.ID)
	}
	return private, nil
}

// info is what a seal is bound to. HPKE's one-shot functions take no additional
// data, so the binding goes through the key schedule instead.
func (e envelope) info() []byte {
	fields, err := json.Marshal([]string{"refresher escrow", e.KeyID, e.Tenant, e.Name, e.Attempt, e.Presented})
	if err != nil {
		panic(err) // strings always marshal
	}
	return fields
}

// seal returns the envelope and the ciphertext of plain, bound to ref.
func seal(key sealingKey, ref Ref, of Lineage, plain []byte, now time.Time) ([]byte, error) {
	e := envelope{
		Version: envelopeVersion, KeyID: key.id, Tenant: ref.ID.Tenant, Name: ref.ID.Name,
		Attempt: ref.Attempt, Presented: ref.Presented, SealedAt: now.UTC(), Lineage: of,
	}
	ciphertext, err := hpke.Seal(key.public, kdf(), aead(), e.info(), plain)
	if err != nil {
		return nil, fmt.Errorf("seal the answer: %w", err)
	}
	e.Size = len(ciphertext)
	head, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode the envelope: %w", err)
	}
	return bytes.Join([][]byte{head, ciphertext}, []byte{'\n'}), nil
}

// parseEnvelope splits sealed bytes into their clear line and the ciphertext. It
// returns ErrUnreadable for what is no whole envelope: a write that a crash cut off.
func parseEnvelope(sealed []byte) (envelope, []byte, error) {
	head, ciphertext, _ := bytes.Cut(sealed, []byte{'\n'})
	var e envelope
	err := json.Unmarshal(head, &e)
	if err == nil {
		_, err = credential.NewID(e.Tenant, e.Name)
	}
	if err != nil || e.Version <= 0 || e.Size <= 0 || e.Size > len(ciphertext) || !attemptName.MatchString(e.Attempt) {
		return envelope{}, nil, fmt.Errorf("%w: it is not whole", ErrUnreadable)
	}
	return e, ciphertext[:e.Size], nil
}

func (e envelope) ref() Ref {
	return Ref{ID: credential.ID{Tenant: e.Tenant, Name: e.Name}, Attempt: e.Attempt, Presented: e.Presented}
}
