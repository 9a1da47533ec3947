package limits

import (
	"context"
	"crypto/rand"
	_ "embed"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// releaseTimeout is how long a Release may take.
const releaseTimeout = 5 * time.Second

//go:embed take.lua
var takeSource string

var takeScript = redis.NewScript(takeSource)

// Redis limits calls for all replicas of the service.
type Redis struct {
	client redis.UniversalClient
	prefix string
}

// NewRedis returns limits below a prefix of keys. The client must have been made
// with ContextTimeoutEnabled for the context's deadline to hold.
func NewRedis(client redis.UniversalClient, prefix string) *Redis {
	return &Redis{client: client, prefix: prefix}
}

// Take asks for a turn at key at the time now. slot is the SlotAt that the last
// Take for this call returned, zero if it has none: from then on, for a minute,
// it counts as paid. One that lies ahead stays what it is.
//
// It is one command to Redis, none if the budget limits nothing, and may be called
// at once from several goroutines. An error is the client's, wrapped; after one it
// is unknown whether the call was charged and counted, and it may not be made. If
// it was, that is forgotten after Budget.Hold. A client that repeats a request
// whose answer was lost charges the rate twice, which errs on the side of calling
// less.
func (l *Redis) Take(ctx context.Context, key string, b Budget, now, slot time.Time) (Turn, error) {
	if !b.limited() {
		return Turn{OK: true, Release: nothing}, nil
	}
	keys := []string{l.prefix + ":{limit:" + key + "}:rate", l.prefix + ":{limit:" + key + "}:holders"}
	holder := rand.Text()
	reply, err := takeScript.Run(ctx, l.client, keys,
		now.UnixMicro(), b.interval(), b.tolerance(), micro(slot), grace.Microseconds(), soon.Microseconds(),
		b.Concurrency, holder, b.hold().Microseconds(), b.retry().Microseconds()).Int64Slice()
	if err != nil {
		return Turn{Release: nothing}, fmt.Errorf("take a turn at %s: %w", key, err)
	}
	if reply[0] == 0 {
		return wait(reply[1]), nil
	}
	if b.Concurrency <= 0 {
		return Turn{OK: true, Release: nothing}, nil
	}
	return Turn{OK: true, Release: func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
		defer cancel()
		// Without an answer the share ends by itself, after Budget.Hold.
		_ = l.client.ZRem(ctx, keys[1], holder).Err()
	}}, nil
}
