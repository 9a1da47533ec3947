package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"refresher/internal/app"
	"refresher/internal/credential"
	"refresher/internal/queue"
)

// errNoRedis means that no Redis is configured.
var errNoRedis = errors.New("no Redis is configured")

// index is the service's queue, or errNoRedis. Call the function when done.
func (s *session) index() (*queue.Redis, func(), error) {
	client, err := app.Redis(s.config.Redis)
	if err != nil {
		return nil, nil, err
	}
	if client == nil {
		return nil, nil, errNoRedis
	}
	return s.queueOf(client), func() { _ = client.Close() }, nil
}

func (s *session) queueOf(client redis.UniversalClient) *queue.Redis {
	return queue.NewRedis(client, s.config.Redis.KeyPrefix, s.config.Redis.Shards)
}

// redisPatience is how long a command that has done its work may wait for Redis.
func (s *session) redisPatience() time.Duration { return 3 * s.config.Redis.Timeout }

// expedite brings credentials forward in the service's queue.
func (s *session) expedite(ctx context.Context, forced bool, ids ...credential.ID) error {
	index, done, err := s.index()
	if err != nil {
		return err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, s.redisPatience()+time.Duration(len(ids))*10*time.Millisecond)
	defer cancel()
	for _, id := range ids {
		if err := index.Expedite(ctx, id, s.Now(), forced); err != nil {
			return fmt.Errorf("redis cannot be told: %w", err)
		}
	}
	return nil
}

// tell lets the service know of changes that are stored already, and returns
// when it will act on them. That it cannot be told is no failure.
func (s *session) tell(ctx context.Context, ids ...credential.ID) string {
	if len(ids) == 0 {
		return ""
	}
	scan := "the service notices it at its next scan (scheduler.scan: " + s.config.Scheduler.Scan + ")"
	switch err := s.expedite(ctx, false, ids...); {
	case err == nil:
		return "the service has been told"
	case errors.Is(err, errNoRedis):
		return scan
	default:
		s.warn("%s", clean(err.Error()))
		return scan
	}
}
