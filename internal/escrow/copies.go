package escrow

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
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
	// Keep stores the last committed answer of a credential, unless there is one of a later
	// generation, and deletes its copy.
	Keep(ctx context.Context, ref Ref, generation int, sealed []byte) error
	// All returns every answer of a credential that is there, committed or not.
	All(ctx context.Context, id credential.ID) ([][]byte, error)
	// Present marks a token as sent if it may be presented. If not it returns ErrSpent, or
	// ErrTooSoon for a probe of what was sent less than apart ago.
	Present(ctx context.Context, hash string, probe bool, apart time.Duration) error
	Mark(ctx context.Context, hash, mark string) error
	// Spent reports whether a token was presented, and not proven unspent since.
	Spent(ctx context.Context, hash string) (bool, error)
}

// RedisCopies keeps the copies in Redis, those of each credential in a hash of its own by
// attempt, for as long as a refresh token can live.
type RedisCopies struct {
	client redis.UniversalClient
	prefix string
	keep   time.Duration
}

// keptField is where the hash has the last committed answer, after its generation. No
// attempt is called so.
const keptField = "kept"

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

// keepScript leaves a kept answer of a later generation where it is.
var keepScript = redis.NewScript(`
local kept = redis.call('HGET', KEYS[1], 'kept')
if not kept or (tonumber(string.match(kept, '^%d+')) or 0) <= tonumber(ARGV[2]) then
	redis.call('HSET', KEYS[1], 'kept', ARGV[2] .. ' ' .. ARGV[3])
end
redis.call('HDEL', KEYS[1], ARGV[1])
return redis.call('PEXPIRE', KEYS[1], ARGV[4])`)

// Keep stores the last committed answer of a credential, and deletes its copy.
func (c *RedisCopies) Keep(ctx context.Context, ref Ref, generation int, sealed []byte) error {
	return keepScript.Run(ctx, c.client, []string{c.answersKey(ref.ID)},
		ref.Attempt, generation, sealed, c.keep.Milliseconds()).Err()
}

// All returns every answer of a credential that is there.
func (c *RedisCopies) All(ctx context.Context, id credential.ID) ([][]byte, error) {
	fields, err := c.client.HGetAll(ctx, c.answersKey(id)).Result()
	answers := make([][]byte, 0, len(fields))
	for field, sealed := range fields {
		if field == keptField {
			_, sealed, _ = strings.Cut(sealed, " ")
		}
		answers = append(answers, []byte(sealed))
	}
	return answers, err
}

// presentScript is mayPresent and the mark in one step. A mark that this very
// call has set is no obstacle. How old another is, its time to live tells.
var presentScript = redis.NewScript(`
local mark = redis.call('GET', KEYS[1])
if mark and mark ~= 'unspent' and mark ~= ARGV[1] then
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
		return ErrSpent
	case may == 2:
		return ErrTooSoon
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

// noCopies is the second place of a process without Redis: there is none.
type noCopies struct{}

func (noCopies) Put(context.Context, Ref, []byte) error                     { return nil }
func (noCopies) Get(context.Context, Ref) ([]byte, error)                   { return nil, nil }
func (noCopies) Delete(context.Context, Ref) error                          { return nil }
func (noCopies) Keep(context.Context, Ref, int, []byte) error               { return nil }
func (noCopies) All(context.Context, credential.ID) ([][]byte, error)       { return nil, nil }
func (noCopies) Present(context.Context, string, bool, time.Duration) error { return nil }
func (noCopies) Mark(context.Context, string, string) error                 { return nil }
func (noCopies) Spent(context.Context, string) (bool, error)                { return false, nil }
