package queue

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"refresher/internal/credential"
)

// chunk is how many entries one command to Redis concerns at most, so that no
// script keeps the server from others for long.
const chunk = 500

// Redis is the index in Redis, shared by all replicas of the service. Its methods
// may be called at once from several goroutines and processes. They take as long
// as the client's time limits and the context allow; a client with
// ContextTimeoutEnabled is needed for the context's deadline to hold while a
// request is under way. Errors are those of the client, wrapped. After one it is
// unknown whether Redis did what it was asked to: every method but Claim can then
// be called again, and what a lost Claim took comes back by itself.
type Redis struct {
	client redis.UniversalClient
	shards []shard
	turn   atomic.Uint64

	mu sync.Mutex
	// memories are the names of what the shards were last seen to hold, "" for one whose index
	// is not built.
	memories map[int]string
}

// shard is one part of the index: the names of its keys.
type shard struct{ due, memo, built string }

// NewRedis returns the index below a prefix of keys. All replicas must agree on
// prefix and on shards, the number of parts, at least one. Another number moves
// tenants to other parts; the index then says that it is not built, and forgets,
// as they come due, the entries that the old number put where they no longer
// belong.
func NewRedis(client redis.UniversalClient, prefix string, shards int) *Redis {
	q := &Redis{client: client, shards: make([]shard, max(1, shards)), memories: map[int]string{}}
	for i := range q.shards {
		key := fmt.Sprintf("%s:{q%d}:", prefix, i)
		q.shards[i] = shard{due: key + "due", memo: key + "memo", built: key + "built"}
	}
	return q
}

// Claim hands out at most limit entries that are due at now, and moves each to
// now + visibility in the same step, so that nobody else is given it before. Of
// several shards, another one comes first at each call, and those that come after
// the limit is reached are not asked.
//
// It costs one command for each shard asked. If a shard fails the others are
// asked all the same, so there can be entries, which are the caller's to work on,
// together with an error. Built is true unless a shard said otherwise; with a
// limit below one none is asked.
func (q *Redis) Claim(ctx context.Context, now time.Time, limit int, visibility time.Duration) (Claim, error) {
	claim := Claim{Built: true}
	until := now.Add(visibility).UnixMilli()
	first := int(q.turn.Add(1) % uint64(len(q.shards)))
	var failed []error
	for n := range q.shards {
		if len(claim.Entries) >= limit {
			break
		}
		i := (first + n) % len(q.shards)
		s := q.shards[i]
		reply, err := claimScript.run(ctx, q.client, []string{s.due, s.memo, s.built},
			now.UnixMilli(), until, limit-len(claim.Entries)).Slice()
		if err != nil {
			failed = append(failed, fmt.Errorf("claim from shard %d: %w", i, err))
			continue
		}
		entries, strays := parseClaim(reply, until, func(id credential.ID) bool { return q.shardOf(id) == i })
		claim.Entries = append(claim.Entries, entries...)
		memory, by := builtBy(reply)
		claim.Built, claim.BuiltBy = claim.Built && by != "", by
		claim.Forgot = q.forgot(i, memory) || claim.Forgot
		if err := q.drop(ctx, s, strays); err != nil {
			failed = append(failed, err)
		}
	}
	inOrder(claim.Entries)
	return claim, errors.Join(failed...)
}

// parseClaim reads what the claim script returned: entries, and members that are
// none, or none of this shard's.
func parseClaim(reply []any, until int64, ours func(credential.ID) bool) (entries []Claimed, strays []string) {
	for i := 1; i+2 < len(reply); i += 3 {
		member, _ := reply[i].(string)
		score, _ := reply[i+1].(string)
		memo, _ := reply[i+2].(string)
		id, err := credential.ParseID(member)
		if err != nil || !ours(id) {
			strays = append(strays, member)
			continue
		}
		due, _ := strconv.ParseFloat(score, 64)
		entries = append(entries, Claimed{
			Entry: credential.Entry{ID: id, Due: fromMilli(int64(due)), Memo: decode(memo)},
			Until: fromMilli(until),
		})
	}
	return entries, strays
}

// Schedule puts an entry back after work: due at e.Due, with e.Memo. until is the
// Until of its claim. If the entry is due before that by now, somebody expedited
// it meanwhile: then the earlier of both times stands, and a Forced that they
// set. With a zero until e stands in any case. An entry that is no longer known
// stays unknown, without an error. It is one command.
func (q *Redis) Schedule(ctx context.Context, e credential.Entry, until time.Time) error {
	memo, err := encode(e.Memo)
	if err != nil {
		return err
	}
	e.Memo.Forced = true
	forced, err := encode(e.Memo)
	if err != nil {
		return err
	}
	expected := ""
	if !until.IsZero() {
		expected = strconv.FormatInt(until.UnixMilli(), 10)
	}
	s := q.shards[q.shardOf(e.ID)]
	err = scheduleScript.run(ctx, q.client, []string{s.due, s.memo},
		e.ID.String(), e.Due.UnixMilli(), expected, memo, forced).Err()
	return wrap(err, "schedule %s", e.ID)
}

// Add adds those of the entries that are not known yet and returns how many those
// were. What is known is left as it is. After an error some may have been added.
func (q *Redis) Add(ctx context.Context, entries ...credential.Entry) (int, error) {
	args := make([][]any, len(q.shards))
	for _, e := range entries {
		memo, err := encode(e.Memo)
		if err != nil {
			return 0, fmt.Errorf("add %s: %w", e.ID, err)
		}
		i := q.shardOf(e.ID)
		args[i] = append(args[i], e.ID.String(), e.Due.UnixMilli(), memo)
	}
	added := 0
	for i, s := range q.shards {
		for part := range slices.Chunk(args[i], 3*chunk) {
			n, err := addScript.run(ctx, q.client, []string{s.due, s.memo}, part...).Int()
			if err != nil {
				return added, fmt.Errorf("add to shard %d: %w", i, err)
			}
			added += n
		}
	}
	return added, nil
}

// Expedite makes an entry due at now at the latest, adds it if it is unknown, and
// clears the counts of failures and refusals that made it wait. With forced it
// also asks for a renewal that is not due yet.
func (q *Redis) Expedite(ctx context.Context, id credential.ID, now time.Time, forced bool) error {
	s := q.shards[q.shardOf(id)]
	flag := "0"
	if forced {
		flag = "1"
	}
	err := expediteScript.run(ctx, q.client, []string{s.due, s.memo}, id.String(), now.UnixMilli(), flag).Err()
	return wrap(err, "expedite %s", id)
}

// Remove removes entries, known or not.
func (q *Redis) Remove(ctx context.Context, ids ...credential.ID) error {
	members := make([][]string, len(q.shards))
	for _, id := range ids {
		i := q.shardOf(id)
		members[i] = append(members[i], id.String())
	}
	for i, s := range q.shards {
		if err := q.drop(ctx, s, members[i]); err != nil {
			return err
		}
	}
	return nil
}

// drop removes members from a shard, valid IDs or not.
func (q *Redis) drop(ctx context.Context, s shard, members []string) error {
	args := make([]any, 0, len(members))
	for _, m := range members {
		args = append(args, m)
	}
	for part := range slices.Chunk(args, chunk) {
		if err := removeScript.run(ctx, q.client, []string{s.due, s.memo}, part...).Err(); err != nil {
			return fmt.Errorf("remove from %s: %w", s.due, err)
		}
	}
	return nil
}

// builtBy reads the mark, the first part of what the claim script returned.
func builtBy(reply []any) (memory, by string) {
	if len(reply) == 0 {
		return "", ""
	}
	mark, _ := reply[0].(string)
	memory, by, _ = strings.Cut(mark, " ")
	return memory, by
}

// forgot reports whether a shard holds something else than when it was last asked.
func (q *Redis) forgot(shard int, memory string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	last, known := q.memories[shard]
	q.memories[shard] = memory
	return !known || memory != last
}

// MarkBuilt says that the index is complete, since all that is in Vault was
// added, and by whom; Claim tells everybody. by must not be empty.
func (q *Redis) MarkBuilt(ctx context.Context, by string) error {
	for i, s := range q.shards {
		if err := markScript.run(ctx, q.client, []string{s.built}, by, rand.Text()).Err(); err != nil {
			return fmt.Errorf("mark shard %d as built: %w", i, err)
		}
	}
	return nil
}

// shardOf says in which shard all entries of the ID's tenant are.
func (q *Redis) shardOf(id credential.ID) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id.Tenant))
	return int(h.Sum32() % uint32(len(q.shards)))
}

func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}
