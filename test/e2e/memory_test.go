package e2e

import (
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"refresher/internal/providersim"
	"refresher/internal/redistest"
)

// What a rotation that is not committed yet has in Redis, by the beginning of its keys.
var (
	lasting  = []string{"refresher:{q0}:due", "refresher:{q0}:memo", "refresher:{q0}:built"}
	expiring = []string{"refresher:lease:tenant:", "refresher:escrow:", "refresher:spent:"}
)

// TestRedisWithoutMemory: in the middle of a rotation Redis has no memory left. It takes no
// writes, or it throws away what would expire (the lease, the sealed copy, the spent list), or
// all there is, the queue with it. The rotation stays the only one, its answer comes to Vault
// from the spool, and when there is memory again the queue is whole and the next rotation goes
// its way.
func TestRedisWithoutMemory(t *testing.T) {
	for policy, lost := range map[string][]string{
		"noeviction": nil, "volatile-ttl": expiring, "allkeys-random": slices.Concat(lasting, expiring),
	} {
		t.Run(policy, func(t *testing.T) {
			s := newStage(t, providersim.Options{})
			client := s.redis.Client(t)
			s.sims.Checkfront.Inject(providersim.Fault{On: providersim.EndpointToken, Times: 1, DelayAfter: 2 * time.Second})
			id, _ := s.checkfront("acme/checkfront")
			env := []string{"REFRESHER_RENEWAL_LEASE_TTL=3s", "REFRESHER_RENEWAL_COMMIT_RETRY_MAX=300ms"}
			replicas := []*process{s.run(t.TempDir(), env...), s.run(t.TempDir(), env...)}
			redistest.Eventually(t, "the provider has rotated", func() bool { return s.exchanges(providersim.ResultOK) == 1 })
			// The commit waits, and what is in Vault can be read.
			s.vault.Policy("refresher", servicePolicy+`path "secret/data/refresher/grants/acme/*" { capabilities = ["read"] }`)
			if lost == nil {
				starve(t, client, policy)
			}
			var owner, other *process
			redistest.Eventually(t, "the answer is in a spool", func() bool {
				for i, p := range replicas {
					if s.metric(p, "refresher_vault_requests_total", `operation="grant.write"`, `result="denied"`) > 0 {
						owner, other = p, replicas[1-i]
					}
				}
				return owner != nil
			})
			if copied := there(t, client, "refresher:escrow:"); copied == (lost == nil) {
				t.Fatalf("a copy of it is in Redis: %t", copied)
			}
			if lost != nil {
				starve(t, client, policy)
				goneAre(t, client, lost)
				feed(t, client)
				comesBy(t, owner, func() float64 { return s.metric(other, "refresher_renewals_total", `result="waiting"`) })
			}
			s.vault.Policy("refresher", servicePolicy)
			redistest.Eventually(t, "the token is alive", func() bool { return s.serves(id) == "" })
			feed(t, client)
			redistest.Eventually(t, "the queue is whole again", func() bool {
				entries, err := client.ZRangeWithScores(t.Context(), lasting[0], 0, -1).Result()
				return err == nil && len(entries) == 1 && entries[0].Member == id.String() &&
					time.UnixMilli(int64(entries[0].Score)).After(time.Now().Add(time.Minute)) && there(t, client, lasting[2])
			})
			s.presentedOnce(1)

			s.command("credentials", "renew", id.String())
			redistest.Eventually(t, "the next token is alive", func() bool { return s.published(id).Generation == 2 && s.serves(id) == "" })
			s.presentedOnce(2)
			for _, p := range replicas {
				s.noSecrets("the log", p.out.String())
				p.stop()
			}
		})
	}
}

// comesBy has a process stand still until another has come by, which knows of the first by
// what is in Vault alone.
func comesBy(t *testing.T, owner *process, visits func() float64) {
	t.Helper()
	for _, signal := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
		if err := owner.cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		redistest.Eventually(t, "another worker comes by", func() bool { return visits() > 0 })
	}
}

// goneAre waits until the keys that begin so are gone, and wants the queue to have gone with
// them or not at all.
func goneAre(t *testing.T, client *redis.Client, lost []string) {
	t.Helper()
	for _, key := range lost {
		redistest.Eventually(t, key+" is thrown away", func() bool { return !there(t, client, key) })
	}
	if kept := there(t, client, lasting[0]); kept == slices.Contains(lost, lasting[0]) {
		t.Errorf("the queue is there: %t", kept)
	}
}

// starve leaves Redis no memory at all: it throws away what the policy lets it, and takes no
// writes that need any.
func starve(t *testing.T, client *redis.Client, policy string) {
	t.Helper()
	for _, set := range [][2]string{{"maxmemory-policy", policy}, {"maxmemory", "1"}} {
		if err := client.ConfigSet(t.Context(), set[0], set[1]).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.Set(t.Context(), "one-more", "", 0).Err(); err == nil || !strings.HasPrefix(err.Error(), "OOM") {
		t.Fatalf("a write without memory: got %v, want OOM", err)
	}
}

// feed gives Redis its memory back.
func feed(t *testing.T, client *redis.Client) {
	t.Helper()
	if err := client.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
}

// there reports whether Redis has a key that begins so.
func there(t *testing.T, client *redis.Client, beginning string) bool {
	t.Helper()
	keys, err := client.Keys(t.Context(), beginning+"*").Result()
	if err != nil {
		t.Fatal(err)
	}
	return len(keys) > 0
}

// command runs one of the commands for people.
func (s *stage) command(args ...string) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), binary(s.t), args...)
	cmd.Env = s.environ(s.t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%v: %v\n%s", args, err, out)
	}
}
