package main

import (
	"testing"
	"time"
)

// TestForgetful: after a restore Redis is left alone until each grant has got over a presentation
// that Vault has forgotten, and no longer.
func TestForgetful(t *testing.T) {
	t.Parallel()
	intent := func(attempt string, probe, claim bool) document {
		doc := document{State: "intent", RefreshToken: "old"}
		doc.Intent = &struct {
			Attempt string `json:"attempt"`
			Owner   string `json:"owner"`
			Probe   bool   `json:"probe"`
			Claim   bool   `json:"claim"`
		}{Attempt: attempt, Probe: probe, Claim: claim}
		return doc
	}
	for name, c := range map[string]struct {
		doc  document
		over bool
	}{
		"it has forgotten":                  {document{State: "idle", RefreshToken: "old"}, false},
		"it is presented as if never":       {intent("a2", false, false), false},
		"it is probed":                      {intent("a2", true, false), true},
		"it is brought forward":             {intent("a2", false, true), true},
		"it has another token":              {document{State: "idle", RefreshToken: "new"}, true},
		"it is dead, and a person is asked": {document{State: "dead", RefreshToken: "old"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newObserved()
			copied := time.Now()
			o.intent(1, vaultCall{ID: "acme/main", Doc: intent("a1", false, false)})
			o.present(1, "acme/main", "old")
			if o.setBack(time.Now()); o.forgetful() {
				t.Fatal("the intent is older than the copy")
			}
			if o.setBack(copied.Add(-time.Millisecond)); !o.forgetful() {
				t.Fatal("the intent is forgotten, and nobody knows")
			}
			o.grant("acme/main", c.doc, false)
			if o.forgetful() == c.over {
				t.Errorf("forgetful is %t", o.forgetful())
			}
		})
	}
}
