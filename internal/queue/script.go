package queue

import (
	"context"
	"crypto/sha1" //nolint:gosec // Redis names scripts by their SHA-1.
	_ "embed"
	"encoding/hex"

	"github.com/redis/go-redis/v9"
)

var (
	//go:embed claim.lua
	claimSource string
	//go:embed schedule.lua
	scheduleSource string
	//go:embed add.lua
	addSource string
	//go:embed expedite.lua
	expediteSource string
	//go:embed remove.lua
	removeSource string
	//go:embed mark.lua
	markSource string

	claimScript    = newScript(claimSource)
	scheduleScript = newScript(scheduleSource)
	addScript      = newScript(addSource)
	expediteScript = newScript(expediteSource)
	removeScript   = newScript(removeSource)
	markScript     = newScript(markSource)
)

// script is a Lua script that is run exactly once or not at all, as far as the
// client is concerned. redis.Script would leave that to the client's options,
// and a Cluster client has none: it repeats a command whose answer was lost
// whatever MaxRetries says. A repeated claim hands out the next entries while
// those of the first wait for their visibility timeout.
type script struct{ source, sha string }

func newScript(source string) script {
	sum := sha1.Sum([]byte(source)) //nolint:gosec // see the import
	return script{source: source, sha: hex.EncodeToString(sum[:])}
}

// run runs the script by its hash, and by its source if the server does not know
// it, which it says without having done anything.
func (s script) run(ctx context.Context, client redis.UniversalClient, keys []string, args ...any) *redis.Cmd {
	cmd := once(ctx, client, "evalsha", s.sha, keys, args)
	if redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
		cmd = once(ctx, client, "eval", s.source, keys, args)
	}
	return cmd
}

func once(ctx context.Context, client redis.UniversalClient, name, script string, keys []string, args []any) *redis.Cmd {
	line := make([]any, 0, 3+len(keys)+len(args))
	line = append(line, name, script, len(keys))
	for _, k := range keys {
		line = append(line, k)
	}
	cmd := redis.NewCmd(ctx, append(line, args...)...)
	cmd.SetFirstKeyPos(3)
	_ = client.Process(ctx, notRepeated{cmd}) // the error is the command's own
	return cmd
}

// notRepeated is a command that go-redis does not send again after an error that
// leaves open whether the server has already executed it.
type notRepeated struct{ *redis.Cmd }

// NoRetry implements redis.Cmder.
func (notRepeated) NoRetry() bool { return true }
