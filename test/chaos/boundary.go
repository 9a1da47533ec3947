package main

import (
	"encoding/json"
	"strings"
)

// Boundary is a step of the protocol that can be seen from outside.
type Boundary string

// The boundaries, in the order of one renewal.
const (
	Lease   Boundary = "lease"   // the SET of the tenant's lease, in Redis
	Read    Boundary = "read"    // a read of Vault
	Intent  Boundary = "intent"  // the check-and-set of the intent
	Spent   Boundary = "spent"   // the mark on the spent list, in Redis
	Request Boundary = "request" // the refresh token on its way to the provider
	Answer  Boundary = "answer"  // the provider's answer on its way back
	Spool   Boundary = "spool"   // the sealed answer, as a file
	Escrow  Boundary = "escrow"  // the sealed answer, in Redis
	Commit  Boundary = "commit"  // the check-and-set of the new grant
	Publish Boundary = "publish" // the write of the published token
	Cleanup Boundary = "cleanup" // the deletion of the sealed answer
)

// boundaries are all of them.
func boundaries() []Boundary {
	return []Boundary{Lease, Read, Intent, Spent, Request, Answer, Spool, Escrow, Commit, Publish, Cleanup}
}

// Side says on which side of a boundary something happens.
type Side string

// Before: nothing of the step has reached the other end. After: it has had its
// effect there, and the one who took it has not heard of that yet.
const (
	Before Side = "before"
	After  Side = "after"
)

// sides are those that can be seen of a boundary: a file is heard of when it is written.
func (b Boundary) sides() []Side {
	if b == Spool {
		return []Side{After}
	}
	return []Side{Before, After}
}

// Step is one crossing of a boundary.
type Step struct {
	Boundary Boundary
	Replica  int
	ID       string   // tenant/name; empty if the step does not tell
	Attempt  *attempt // the presentation that it belongs to; nil before there is one
}

// document is a grant or a published token, as far as the rig reads it. It is
// the rig's own view of what stands in Vault, and no code of the service's.
type document struct {
	State        string `json:"state"`
	Status       string `json:"status"`
	Generation   int    `json:"generation"`
	RefreshToken string `json:"refresh_token"`
	AccessToken  string `json:"access_token"`
	ExpiresAt    string `json:"expires_at"`
	Intent       *struct {
		Attempt string `json:"attempt"`
		Owner   string `json:"owner"`
		Probe   bool   `json:"probe"`
		Claim   bool   `json:"claim"`
	} `json:"intent"`
}

// vaultCall is a request to Vault that concerns a document.
type vaultCall struct {
	Folder string // credentials, grants or tokens
	ID     string
	Write  bool
	Doc    document // what is written
}

// readVaultCall says what a request to Vault is about; false if it is about none
// of the documents.
func readVaultCall(method, path string, body []byte) (vaultCall, bool) {
	rest, ok := strings.CutPrefix(path, "/v1/secret/data/refresher/")
	folder, id, cut := strings.Cut(rest, "/")
	if !ok || !cut || folder == "escrow-keys" {
		return vaultCall{}, false
	}
	call := vaultCall{Folder: folder, ID: id, Write: method == "PUT" || method == "POST"}
	if call.Write {
		var envelope struct {
			Data document `json:"data"`
		}
		if json.Unmarshal(body, &envelope) != nil {
			return vaultCall{}, false
		}
		call.Doc = envelope.Data
	}
	return call, true
}

// boundary is the step that a call is; generation is the newest that the rig saw
// of this grant. It is empty for what is no step of a renewal: a claim, a grant that
// is closed again or declared dead.
func (c vaultCall) boundary(generation int) Boundary {
	switch {
	case !c.Write:
		return Read
	case c.Folder == "tokens":
		return Publish
	case c.Folder != "grants":
		return ""
	case c.Doc.State == "intent" && c.Doc.Intent != nil && !c.Doc.Intent.Claim:
		return Intent
	case c.Doc.State == "idle" && c.Doc.Generation > generation:
		return Commit
	default:
		return ""
	}
}

// redisCall is a command that is a step.
type redisCall struct {
	Boundary Boundary
	Tenant   string // Lease
	Owner    string // Lease
	Hash     string // Spent: of the presented token
	Attempt  string // Escrow, Cleanup
}

// readRedisCall says which step a command is; false if it is none.
func readRedisCall(args []string) (redisCall, bool) {
	if len(args) < 2 {
		return redisCall{}, false
	}
	name := strings.ToUpper(args[0])
	if name == "EVALSHA" || name == "EVAL" {
		return readScriptCall(args)
	}
	switch {
	case len(args) < 3 || !strings.HasPrefix(args[1], answersOf):
		return redisCall{}, false
	case name == "HSETNX":
		return redisCall{Boundary: Escrow, Attempt: args[2]}, true
	case name == "HDEL":
		return redisCall{Boundary: Cleanup, Attempt: args[2]}, true
	default:
		return redisCall{}, false
	}
}

// answersOf is what the key begins with under which Redis has a credential's sealed answers.
const answersOf = "refresher:escrow:"

// readScriptCall reads EVALSHA script 1 key args…
func readScriptCall(args []string) (redisCall, bool) {
	if len(args) < 6 {
		return redisCall{}, false // the lease's release has fewer
	}
	if tenant, ok := strings.CutPrefix(args[3], "refresher:lease:tenant:"); ok {
		return redisCall{Boundary: Lease, Tenant: tenant, Owner: args[4]}, true
	}
	if hash, ok := strings.CutPrefix(args[3], "refresher:spent:"); ok {
		return redisCall{Boundary: Spent, Hash: hash}, true
	}
	if strings.HasPrefix(args[3], answersOf) {
		return redisCall{Boundary: Cleanup, Attempt: args[4]}, true
	}
	return redisCall{}, false
}
