package escrow

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/base64"
	"encoding/json"
	"errors"
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
type envelope struct {
	Version   int       `json:"v"`
	KeyID     string    `json:"key"`
	Tenant    string    `json:"tenant"`
	Name      string    `json:"name"`
	Attempt   string    `json:"attempt"`
	Presented string    `json:"presented"`
	SealedAt  time.Time `json:"sealed_at"`
}

const envelopeVersion = 1

// errTorn means that bytes are no whole envelope: a write that a crash cut off.
var errTorn = errors.New("not a whole sealed answer")

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

func parsePrivateKey(text credential.Secret) (hpke.PrivateKey, error) {
	raw, err := base64.StdEncoding.DecodeString(text.Reveal())
	if err != nil {
		return nil, errors.New("the escrow key is not base64")
	}
	key, err := kem().NewPrivateKey(raw)
	if err != nil {
		return nil, errors.New("the escrow key is not an X25519 private key")
	}
	return key, nil
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
func seal(public hpke.PublicKey, keyID string, ref Ref, plain []byte, now time.Time) ([]byte, error) {
	e := envelope{
		Version: envelopeVersion, KeyID: keyID, Tenant: ref.ID.Tenant, Name: ref.ID.Name,
		Attempt: ref.Attempt, Presented: ref.Presented, SealedAt: now.UTC(),
	}
	ciphertext, err := hpke.Seal(public, kdf(), aead(), e.info(), plain)
	if err != nil {
		return nil, fmt.Errorf("seal the answer: %w", err)
	}
	head, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode the envelope: %w", err)
	}
	return bytes.Join([][]byte{head, ciphertext}, []byte{'\n'}), nil
}

// parseEnvelope splits sealed bytes into their clear line and the ciphertext.
func parseEnvelope(sealed []byte) (envelope, []byte, error) {
	head, ciphertext, ok := bytes.Cut(sealed, []byte{'\n'})
	if !ok || len(ciphertext) == 0 {
		return envelope{}, nil, errTorn
	}
	var e envelope
	if err := json.Unmarshal(head, &e); err != nil || e.Version == 0 || e.Attempt == "" {
		return envelope{}, nil, errTorn
	}
	if e.Version != envelopeVersion {
		return envelope{}, nil, fmt.Errorf("sealed by another version of Refresher (format %d)", e.Version)
	}
	if _, err := credential.NewID(e.Tenant, e.Name); err != nil {
		return envelope{}, nil, fmt.Errorf("sealed answer: %w", err)
	}
	return e, ciphertext, nil
}

func (e envelope) ref() Ref {
	return Ref{ID: credential.ID{Tenant: e.Tenant, Name: e.Name}, Attempt: e.Attempt, Presented: e.Presented}
}
