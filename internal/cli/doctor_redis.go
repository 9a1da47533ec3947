package cli

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"refresher/internal/app"
	"refresher/internal/config"
)

func (d *doctor) examineRedis(ctx context.Context) {
	client, err := app.Redis(d.config.Redis)
	switch {
	case err != nil:
		d.fail("redis", "see redis in the configuration", "%s", err)
		return
	case client == nil:
		d.warning("redis", "set REDIS_URL to share the work between replicas",
			"none is configured: the queue is in memory, and only one replica may run")
		return
	}
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(ctx, 10*d.config.Redis.Timeout)
	defer cancel()
	text, err := client.Info(ctx, "everything").Result()
	if err != nil {
		d.fail("redis", d.redisFix(err), "%s", err)
		return
	}
	info := parseInfo(text)
	if info["redis_mode"] == "sentinel" {
		d.fail("redis", "set redis.mode to sentinel, and redis.master_name", "this is a Sentinel, and redis.mode is %s", d.config.Redis.Mode)
		return
	}
	d.ok("redis", "version %s, reached as %s", info["redis_version"], d.config.Redis.Mode)
	d.examineRedisClock(ctx, client)
	d.judgeRedis(info)
	d.examineQueue(ctx, client)
}

func (d *doctor) examineRedisClock(ctx context.Context, client redis.UniversalClient) {
	began := time.Now()
	now, err := client.Time(ctx).Result()
	if err != nil {
		d.fail("redis", d.redisFix(err), "%s", err)
		return
	}
	d.compareClocks("redis", now.Sub(began.Add(time.Since(began)/2)))
}

// redisFix says what to do about a Redis that does not answer.
func (d *doctor) redisFix(err error) string {
	text := err.Error()
	switch {
	case redis.HasErrorPrefix(err, "NOAUTH"), redis.HasErrorPrefix(err, "WRONGPASS"):
		return "give the right user and password: in REDIS_URL, or redis.username and redis.password"
	case redis.HasErrorPrefix(err, "NOPERM"):
		return "give its user the permission (Redis ACL: +info, +time, and all commands on " + d.config.Redis.KeyPrefix + ":*)"
	case strings.Contains(text, "cluster support disabled"):
		return "it is no cluster: set redis.mode to standalone or sentinel"
	case strings.Contains(text, "all sentinels"):
		return "see that redis.addresses are Sentinels that know redis.master_name " + d.config.Redis.MasterName
	case strings.Contains(text, "certificate") || strings.Contains(text, "tls:"):
		return "see redis.tls, and that redis.tls.ca_cert is the CA that signed Redis's certificate"
	case errors.Is(err, context.DeadlineExceeded), strings.Contains(text, "timeout"), strings.Contains(text, "EOF"):
		return "does Redis run there, and does it speak TLS (rediss://)? It did not answer in time or hung up"
	default:
		return "does Redis run, and is REDIS_URL (or redis.addresses) right?"
	}
}

// parseInfo reads what INFO answers.
func parseInfo(text string) map[string]string {
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	return info
}

// judgeRedis looks for settings under which entries or sealed copies would vanish.
func (d *doctor) judgeRedis(info map[string]string) {
	clustered := info["cluster_enabled"] == "1"
	switch mode := d.config.Redis.Mode; {
	case clustered && mode != config.RedisCluster:
		d.fail("redis", "set redis.mode to cluster, and redis.addresses", "this is a Redis Cluster, and redis.mode is %s", mode)
	case info["role"] == "slave":
		d.fail("redis", "give the address of the master, or use Sentinel (redis.mode)", "this is a replica, which takes no writes")
	}
	if policy := info["maxmemory_policy"]; policy != "" && policy != "noeviction" {
		d.warning("redis", "CONFIG SET maxmemory-policy noeviction, or a Redis of its own",
			"maxmemory-policy is %s: when memory is full it throws away queue entries, sealed copies and the list of spent tokens", policy)
	} else if policy != "" {
		d.ok("redis", "it throws nothing away when memory is full (maxmemory-policy noeviction)")
	}
	switch {
	case info["aof_enabled"] == "":
	case info["aof_enabled"] == "0":
		d.warning("redis", "CONFIG SET appendonly yes, and in its configuration file",
			"the append-only file is off: a restart loses the sealed copies and the list of spent tokens, which then are on each replica's disk alone")
	default:
		d.ok("redis", "it writes an append-only file")
	}
}

// examineQueue sees that the service's own keys can be read.
func (d *doctor) examineQueue(ctx context.Context, client redis.UniversalClient) {
	s := &session{program: d.program, config: d.config}
	n, err := s.queueOf(client).Len(ctx)
	if err != nil {
		d.fail("redis", "let its user work on keys "+d.config.Redis.KeyPrefix+":* (ACL: ~"+d.config.Redis.KeyPrefix+":* +@all)",
			"the queue cannot be read: %s", err)
		return
	}
	d.ok("redis", "the queue holds %s", count(n, "credential"))
}
