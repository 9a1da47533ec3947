package escrow

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"refresher/internal/credential"
)

// Copies is the second place for sealed answers and the spent list, which all
// replicas see.
type Copies interface {
	// Put stores a sealed answer. A copy that is there already stays as it is.
	Put(ctx context.Context, ref Ref, sealed []byte) error
	// Get returns nil and no error if there is no such copy.
	Get(ctx context.Context, ref Ref) ([]byte, error)
	Delete(ctx context.Context, ref Ref) error
	// Keep stores the last committed answer of a credential, unless there is a later one of
	// the same authorization, and deletes its copy and those that came before it.
	Keep(ctx context.Context, ref Ref, of Lineage, sealed []byte) error
	// All returns every answer of a credential that is there, committed or not.
	All(ctx context.Context, id credential.ID) ([][]byte, error)
	// Present marks a token as sent if it may be presented. If not it returns
	// ErrSpentElsewhere, ErrRotated, or ErrTooSoon for a probe of what was sent less than apart ago.
	Present(ctx context.Context, hash string, probe bool, apart time.Duration) error
	Mark(ctx context.Context, hash, mark string) error
	// Spent reports whether a token was presented, and not proven unspent since.
	Spent(ctx context.Context, hash string) (bool, error)
	// Tell puts back what Redis has lost, and leaves alone what it knows better.
	Tell(ctx context.Context, told Told) error
}

// RedisCopies keeps the copies in Redis, those of each credential in a hash of its own by
// attempt, and the last committed one as "kept", for as long as a refresh token can live.
type RedisCopies struct {
	client redis.UniversalClient
	prefix string
	keep   time.Duration
}

// NewRedisCopies returns the copies in Redis; keys begin with prefix.
func NewRedisCopies(client redis.UniversalClient, prefix string, keep time.Duration) *RedisCopies {
	return &RedisCopies{client: client, prefix: prefix, keep: keep}
}

func (c *RedisCopies) answersKey(id credential.ID) string {
	return c.prefix + ":escrow:" + id.String()
}
func (c *RedisCopies) spentKey(hash string) string { return c.prefix + ":spent:" + hash }

// Put stores a sealed answer, unless there is one already.
func (c *RedisCopies) Put(ctx context.Context, ref Ref, sealed []byte) error {
	_, err := c.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.HSetNX(ctx, c.answersKey(ref.ID), ref.Attempt, sealed)
		p.PExpire(ctx, c.answersKey(ref.ID), c.keep)
		return nil
	})
	return err
}

// Get returns a sealed answer, or nil if there is none.
func (c *RedisCopies) Get(ctx context.Context, ref Ref) ([]byte, error) {
	sealed, err := c.client.HGet(ctx, c.answersKey(ref.ID), ref.Attempt).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return sealed, err
}

// Delete removes a sealed answer.
func (c *RedisCopies) Delete(ctx context.Context, ref Ref) error {
	return c.client.HDel(ctx, c.answersKey(ref.ID), ref.Attempt).Err()
}

// keepScript goes by the clear lines of the answers. What it cannot read there it leaves alone.
var keepScript = redis.NewScript(`
local attempt, seed, rotation, sealed = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local all, last = redis.call('HGETALL', KEYS[1]), true
for i = 1, #all, 2 do
	local ok, head = pcall(cjson.decode, string.match(all[i + 1], '^[^\n]*'))
	if ok and type(head) == 'table' and head.seed == seed then
		local later = (tonumber(head.rotation) or 0) > rotation
		if all[i] == 'kept' then
			last = not later
		elseif not later then
			redis.call('HDEL', KEYS[1], all[i])
		end
	end
end
redis.call('HDEL', KEYS[1], attempt)
if last then redis.call('HSET', KEYS[1], 'kept', sealed) end
return redis.call('PEXPIRE', KEYS[1], ARGV[5])`)

// Keep stores the last committed answer of a credential, and deletes its copy.
func (c *RedisCopies) Keep(ctx context.Context, ref Ref, of Lineage, sealed []byte) error {
	return keepScript.Run(ctx, c.client, []string{c.answersKey(ref.ID)},
		ref.Attempt, of.Seed, of.Rotation, sealed, c.keep.Milliseconds()).Err()
}

// All returns every answer of a credential that is there.
func (c *RedisCopies) All(ctx context.Context, id credential.ID) ([][]byte, error) {
	fields, err := c.client.HVals(ctx, c.answersKey(id)).Result()
	answers := make([][]byte, len(fields))
	for i, sealed := range fields {
		answers[i] = []byte(sealed)
	}
	return answers, err
}

// ErrRotated is ErrSpentElsewhere for a token that is known to have been rotated.
var ErrRotated = fmt.Errorf("%w: it is known to have been rotated", ErrSpentElsewhere)

// presentScript is mayPresent and the mark in one step. A mark that this very
// call has set is no obstacle. How old another is, its time to live tells.
var presentScript = redis.NewScript(`
local mark = redis.call('GET', KEYS[1])
if mark and mark ~= 'unspent' and mark ~= ARGV[1] then
	if mark == 'rotated' then return 3 end
	if ARGV[2] == '0' or string.sub(mark, 1, 4) ~= 'sent' then return 0 end
	local age = tonumber(ARGV[3]) - redis.call('PTTL', KEYS[1])
	if age >= 0 and age < tonumber(ARGV[4]) then return 2 end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return 1`)

// Present marks a token as sent if it may be presented. The mark is this call's
// own, because the client of a Cluster repeats a command whose reply was lost.
func (c *RedisCopies) Present(ctx context.Context, hash string, probe bool, apart time.Duration) error {
	flag := 0
	if probe {
		flag = 1
	}
	own := markSent + " " + rand.Text()
	may, err := presentScript.Run(ctx, c.client, []string{c.spentKey(hash)}, own, flag, c.keep.Milliseconds(), apart.Milliseconds()).Int()
	switch {
	case err != nil:
		return err
	case may == 0:
		return ErrSpentElsewhere
	case may == 2:
		return ErrTooSoon
	case may == 3:
		return ErrRotated
	default:
		return nil
	}
}

// Mark sets what is known of a presented token.
func (c *RedisCopies) Mark(ctx context.Context, hash, mark string) error {
	return c.client.Set(ctx, c.spentKey(hash), mark, c.keep).Err()
}

// Spent reports whether a token was presented, and not proven unspent since.
func (c *RedisCopies) Spent(ctx context.Context, hash string) (bool, error) {
	mark, err := c.client.Get(ctx, c.spentKey(hash)).Result()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	return !mayPresent(mark, false), err
}

// tellKeptScript keeps an answer unless a later one is there: of the same authorization by
// its rotation, of another by the time of its seal.
var tellKeptScript = redis.NewScript(`
local sealed, seed, rotation, at = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local kept = redis.call('HGET', KEYS[1], 'kept')
local ok, head = pcall(cjson.decode, string.match(kept or '', '^[^\n]*'))
if ok and type(head) == 'table' then
	if head.seed == seed then
		if (tonumber(head.rotation) or 0) >= rotation then return 0 end
	elseif (head.sealed_at or '') >= at then
		return 0
	end
end
redis.call('HSET', KEYS[1], 'kept', sealed)
return redis.call('PEXPIRE', KEYS[1], ARGV[5])`)

// tellMarkScript sets a mark unless there is one. That a token was rotated is known for good.
var tellMarkScript = redis.NewScript(`
local mark = redis.call('GET', KEYS[1])
if not mark or ARGV[1] == 'rotated' and string.sub(mark, 1, 4) == 'sent' then
	redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return 1`)

// Tell puts back what Redis has lost.
func (c *RedisCopies) Tell(ctx context.Context, told Told) error {
	for _, script := range []*redis.Script{tellKeptScript, tellMarkScript} {
		if err := script.Load(ctx, c.client).Err(); err != nil {
			return err
		}
	}
	_, err := c.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, kept := range told.Kept {
			tellKeptScript.EvalSha(ctx, p, []string{c.answersKey(kept.Ref.ID)},
				kept.Sealed, kept.Of.Seed, kept.Of.Rotation, kept.SealedAt.Format(time.RFC3339Nano), c.keep.Milliseconds())
		}
		for _, m := range told.Marks {
			tellMarkScript.EvalSha(ctx, p, []string{c.spentKey(m.Hash)}, m.Mark, max(m.Left.Milliseconds(), 1))
		}
		return nil
	})
	return err
}

// noCopies is the second place of a process without Redis: there is none.
type noCopies struct{}

func (noCopies) Put(context.Context, Ref, []byte) error                     { return nil }
func (noCopies) Get(context.Context, Ref) ([]byte, error)                   { return nil, nil }
func (noCopies) Delete(context.Context, Ref) error                          { return nil }
func (noCopies) Keep(context.Context, Ref, Lineage, []byte) error           { return nil }
func (noCopies) All(context.Context, credential.ID) ([][]byte, error)       { return nil, nil }
func (noCopies) Present(context.Context, string, bool, time.Duration) error { return nil }
func (noCopies) Mark(context.Context, string, string) error                 { return nil }
func (noCopies) Spent(context.Context, string) (bool, error)                { return false, nil }
func (noCopies) Tell(context.Context, Told) error                           { return nil }
