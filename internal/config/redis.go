package config

import (
	"fmt"
	"net/url"
	"strings"
)

// redisRules keep what was meant for one kind of deployment from being ignored by another.
func redisRules() []rule {
	return []rule{
		{paths: []string{"redis.addresses", "redis.mode", "redis.url"}, broken: redisAddresses},
		{paths: []string{"redis.url", "redis.mode"}, broken: redisURL},
		{paths: []string{"redis.master_name", "redis.mode"}, broken: redisMaster},
		{paths: []string{"redis.sentinel_password", "redis.sentinel_username", "redis.mode"}, broken: redisSentinelLogin},
		{paths: []string{"redis.db", "redis.mode", "redis.url"}, broken: redisDB},
		{paths: []string{"redis.password", "redis.username", "redis.url"}, broken: redisLogin},
		{paths: []string{"redis.tls.ca_cert", "redis.tls.server_name", "redis.tls.enabled", "redis.url"}, broken: redisTLS},
	}
}

func redisAddresses(v view) string {
	switch r := v.Redis; {
	case r.Mode != RedisStandalone && len(r.Addresses) == 0:
		return fmt.Sprintf("must be set, since redis.mode is %s", r.Mode)
	case r.Mode == RedisStandalone && len(r.Addresses) > 1:
		return "there are several, and redis.mode is standalone: set it to sentinel or cluster, or keep one address"
	case r.Mode == RedisStandalone && len(r.Addresses) == 1 && r.URL != "":
		return "there is redis.url too: keep one of them"
	}
	return ""
}

func redisURL(v view) string {
	if v.Redis.URL == "" || v.Redis.Mode == RedisStandalone {
		return ""
	}
	return fmt.Sprintf("is for a standalone Redis, and redis.mode is %s: give redis.addresses, redis.username and redis.password instead", v.Redis.Mode)
}

func redisMaster(v view) string {
	switch r := v.Redis; {
	case r.Mode == RedisSentinel && r.MasterName == "":
		return "must be set, since redis.mode is sentinel"
	case r.Mode != RedisSentinel && r.MasterName != "":
		return "is for Sentinel: set redis.mode to sentinel, or leave it out"
	}
	return ""
}

func redisSentinelLogin(v view) string {
	if r := v.Redis; r.Mode == RedisSentinel || r.SentinelPassword == "" && r.SentinelUsername == "" {
		return ""
	}
	return "there are settings for Sentinel: set redis.mode to sentinel, or leave them out"
}

func redisDB(v view) string {
	switch r := v.Redis; {
	case r.DB != 0 && r.Mode == RedisCluster:
		return "must be 0: a Redis Cluster has no other database"
	case r.DB != 0 && r.URL != "":
		return "must be 0 where there is redis.url: put the number at the URL's end"
	}
	return ""
}

func redisLogin(v view) string {
	u, err := url.Parse(v.Redis.URL.Reveal())
	if err != nil || u.User == nil || v.Redis.Password == "" && v.Redis.Username == "" {
		return ""
	}
	return "there is a user or password in redis.url too: keep one of them"
}

func redisTLS(v view) string {
	t := v.Redis.TLS
	if t.CACert == "" && t.ServerName == "" || t.Enabled || strings.HasPrefix(v.Redis.URL.Reveal(), "rediss://") {
		return ""
	}
	return "there are settings for TLS, and TLS is off: set redis.tls.enabled to true"
}
