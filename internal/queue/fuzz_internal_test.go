package queue

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"refresher/internal/credential"
)

// FuzzMemo: whatever stands in Redis is read as a memo, if need be an empty one, and
// a memo that was read can be written and comes back the same. Else a visit could
// not note when the next one is due.
func FuzzMemo(f *testing.F) {
	f.Add(`{"p":"checkfront","a":"oauth2","s":"active","f":2,"v":7,"e":"2026-07-01T12:00:00Z","n":true}`)
	f.Add(`{"p":"kibo","e":"2026-07-01T12:00:00.123456789+23:59"}`)
	f.Add(`{"f":-1,"r":9223372036854775807}`)
	f.Add(`{"e":"9999-12-31T23:59:59-23:59"}`)
	f.Add(`{"e":"10000-01-01T00:00:00Z"}`)
	f.Add(`{"F":1,"f":2,"unknown":[]}`)
	f.Add("")
	f.Add("null")
	f.Add(`{"p":"kibo","f":"many"}`)
	f.Add(`{"p":"checkfront","s":"active","e":"2026-07-01T12:00:00Z","d":true}`)
	f.Add(`{"p":"checkfront","d":"true"}`)
	f.Fuzz(func(t *testing.T, text string) {
		memo := decode(text)
		if json.Unmarshal([]byte(text), &credential.Memo{}) != nil && memo != (credential.Memo{}) {
			t.Errorf("half of a memo was taken for one: %+v", memo)
		}
		written, err := encode(memo)
		if err != nil {
			t.Fatalf("%+v was read and cannot be written: %v", memo, err)
		}
		back := decode(written)
		for _, pair := range [][2]time.Time{
			{memo.ExpiresAt, back.ExpiresAt},
			{memo.GrantExpiresAt, back.GrantExpiresAt},
			{memo.IntentSince, back.IntentSince},
			{memo.SlotAt, back.SlotAt},
		} {
			if !pair[0].Equal(pair[1]) {
				t.Errorf("a time was %s and came back as %s", pair[0], pair[1])
			}
		}
		if again, _ := encode(back); again != written {
			t.Errorf("wrote %s, then %s", written, again)
		}
	})
}

// TestMemoOfAnOlderVersion: what it wrote is read as it was meant and written as it
// was, so that both can work on one queue; and an older one reads what this one writes.
func TestMemoOfAnOlderVersion(t *testing.T) {
	t.Parallel()
	const old = `{"p":"checkfront","a":"oauth2","s":"active","f":2,"v":7,"e":"2026-07-01T12:00:00Z","g":"2026-07-15T12:00:00Z","n":true}`
	memo := decode(old)
	want := credential.Memo{
		Provider: "checkfront", Auth: "oauth2", Status: credential.StatusActive, Failures: 2, CredentialVersion: 7, Forced: true,
		ExpiresAt: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC), GrantExpiresAt: time.Date(2026, 7, 15, 12, 0, 0, 0, time.UTC),
	}
	if memo != want {
		t.Errorf("got %+v, want %+v", memo, want)
	}
	if written, err := encode(memo); err != nil || written != old {
		t.Errorf("%s was written as %s, %v", old, written, err)
	}
	want.Dormant = true
	text, err := encode(want)
	if err != nil || decode(text) != want {
		t.Errorf("got %+v, %v from %s", decode(text), err, text)
	}
}

// FuzzClaim: what the claim script returns is entries of this shard with valid IDs,
// or strays to be dropped. Nothing is lost between the two.
func FuzzClaim(f *testing.F) {
	f.Add("acme/main", "1750000000000", `{"p":"kibo"}`, "us 1")
	f.Add("acme/main", "1.75e+12", "", "")
	f.Add("acme/../evil", "NaN", "{", "us")
	f.Add("other/main", "-inf", "[]", "us")
	f.Add("acme/main", "99999999999999999999", "null", "us")
	ours := func(id credential.ID) bool { return id.Tenant == "acme" }
	f.Fuzz(func(t *testing.T, member, score, memo, by string) {
		until := time.UnixMilli(1_750_000_000_000)
		for _, reply := range [][]any{
			{by, member, score, memo},
			{by, member, score, nil, member}, // a memo that is gone, and a torn end
			{by, member, int64(7), memo},
		} {
			entries, strays := parseClaim(reply, until.UnixMilli(), ours)
			if len(entries)+len(strays) != 1 {
				t.Fatalf("%d entries and %d strays of one", len(entries), len(strays))
			}
			for _, e := range entries {
				if id, err := credential.ParseID(member); err != nil || e.ID != id || !ours(id) || !e.Until.Equal(until) {
					t.Errorf("%q is taken for %+v", member, e)
				}
			}
			if memory, name := builtBy(reply); strings.TrimRight(memory+" "+name, " ") != strings.TrimRight(by, " ") || strings.Contains(memory, " ") {
				t.Errorf("%q is taken for %q in %q", by, name, memory)
			}
		}
		for _, reply := range [][]any{nil, {int64(1)}} {
			if memory, name := builtBy(reply); memory != "" || name != "" {
				t.Errorf("%q in %q of no mark", name, memory)
			}
		}
	})
}

// FuzzList: a listing of the index holds each valid member of the shard once.
func FuzzList(f *testing.F) {
	f.Add("acme/main 1 acme/main 2 evil 3")
	f.Add("acme/main")
	f.Add("a/b nan a/c +inf")
	q := NewRedis(nil, "test", 2)
	f.Fuzz(func(t *testing.T, text string) {
		seen := map[credential.ID]bool{}
		pairs := strings.Split(text, " ")
		for shard := range q.shards {
			for _, e := range q.parsePairs(pairs, shard, seen) {
				if q.shardOf(e.ID) != shard {
					t.Errorf("%s is in another shard", e.ID)
				}
				if _, err := credential.NewID(e.ID.Tenant, e.ID.Name); err != nil {
					t.Error(err)
				}
			}
			if again := q.parsePairs(pairs, shard, seen); len(again) > 0 {
				t.Errorf("%d came twice", len(again))
			}
		}
	})
}
