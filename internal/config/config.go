package config

import (
	"time"

	"refresher/internal/credential"
)

// Config is the whole configuration. Load makes one that is complete and
// checked; it is not changed after that and may be read from several goroutines.
type Config struct {
	Log       Log       `yaml:"log" doc:"What is logged, and how."`
	HTTP      HTTP      `yaml:"http" doc:"The service's own HTTP server: health, metrics, status."`
	Metrics   Metrics   `yaml:"metrics" doc:"What /metrics shows beside the ordinary; docs/metrics.md lists all."`
	Vault     Vault     `yaml:"vault" doc:"HashiCorp Vault, where the credentials and tokens live."`
	Redis     Redis     `yaml:"redis" doc:"Redis, which several replicas share their work through. Without url and addresses the queue is in memory, for one replica only."`
	Escrow    Escrow    `yaml:"escrow" doc:"Sealed copies of rotations that are not in Vault yet."`
	Egress    Egress    `yaml:"egress" doc:"How the providers are reached."`
	Scheduler Scheduler `yaml:"scheduler" doc:"When work is looked for, and how much of it is done at once."`
	Renewal   Renewal   `yaml:"renewal" doc:"The time limits and intervals of a renewal. docs/architecture.md explains those of the protocol."`
	Providers Providers `yaml:"providers" doc:"What is known of each provider: its windows, and how hard it may be called."`
}

// Log says what is logged, and how.
type Log struct {
	Level  string `yaml:"level" default:"info" oneof:"trace debug info warn error" doc:"The least severe level that is logged."`
	Format string `yaml:"format" default:"json" oneof:"json console" doc:"JSON for machines, or lines for a person."`
}

// HTTP is the service's own HTTP server.
type HTTP struct {
	Listen          string        `yaml:"listen" default:":8080" check:"host_port,filled" doc:"Address and port to listen on."`
	ShutdownTimeout time.Duration `yaml:"shutdown_timeout" default:"10s" doc:"How long requests may take to end at a stop."`
}

// Metrics is what /metrics shows beside the ordinary.
type Metrics struct {
	PerCredential    bool `yaml:"per_credential" default:"false" doc:"Show each credential's status and expiry, with tenant and name as labels. Whoever may read the metrics then learns who the tenants are."`
	PerCredentialMax int  `yaml:"per_credential_max" default:"1000" min:"1" max:"100000" doc:"Show at most so many credentials: those most in need."`
}

// Vault says where Vault is, where the documents are in it, and who we are.
type Vault struct {
	Address       string            `yaml:"address" env:"VAULT_ADDR" check:"vault_url" doc:"URL of the Vault server, such as https://vault.example.com:8200."`
	Namespace     string            `yaml:"namespace" env:"VAULT_NAMESPACE" doc:"Vault Enterprise namespace."`
	CACert        string            `yaml:"ca_cert" env:"VAULT_CACERT" doc:"PEM file with the CA that signed Vault's certificate. Empty: the system's."`
	TLSServerName string            `yaml:"tls_server_name" env:"VAULT_TLS_SERVER_NAME" doc:"Name that Vault's certificate must have, if it is not the address's."`
	Mount         string            `yaml:"mount" default:"secret" check:"vault_path,filled" doc:"Mount of the KV v2 secrets engine."`
	Prefix        string            `yaml:"prefix" default:"refresher" check:"vault_path,filled" doc:"Path below the mount that holds credentials/, grants/ and tokens/."`
	Token         credential.Secret `yaml:"token" env:"VAULT_TOKEN" doc:"Vault token."`
	TokenFile     string            `yaml:"token_file" doc:"File with a Vault token, read again at every login, as Vault Agent writes it."`
	Auth          VaultAuth         `yaml:"auth" doc:"How the service logs in to Vault."`
}

// The ways to log in to Vault.
const (
	AuthToken      = "token"
	AuthTokenFile  = "token_file"
	AuthAppRole    = "approle"
	AuthKubernetes = "kubernetes"
)

// AuthMethod returns how to log in to Vault: one of the constants above. Without
// an explicit vault.auth.method it is the first of them that has what it needs;
// empty if none has.
func (v Vault) AuthMethod() string {
	switch {
	case v.Auth.Method != "":
		return v.Auth.Method
	case v.Token != "":
		return AuthToken
	case v.TokenFile != "":
		return AuthTokenFile
	case v.Auth.AppRole.RoleID != "":
		return AuthAppRole
	case v.Auth.Kubernetes.Role != "":
		return AuthKubernetes
	default:
		return ""
	}
}

// VaultAuth says how to log in to Vault.
type VaultAuth struct {
	Method     string         `yaml:"method" oneof:"token token_file approle kubernetes" doc:"Empty: the first for which a token, a token file, a role ID or a role is set."`
	AppRole    AppRole        `yaml:"approle" doc:"Login with an AppRole."`
	Kubernetes KubernetesAuth `yaml:"kubernetes" doc:"Login with the pod's service account."`
}

// AppRole is a login with a role ID and a secret ID.
type AppRole struct {
	Mount        string            `yaml:"mount" default:"approle" check:"vault_path,filled" doc:"Mount of the auth method."`
	RoleID       string            `yaml:"role_id" doc:"The role's ID."`
	SecretID     credential.Secret `yaml:"secret_id" doc:"The secret ID."`
	SecretIDFile string            `yaml:"secret_id_file" doc:"File with the secret ID, read again at every login."`
}

// KubernetesAuth is a login with a service account's token.
type KubernetesAuth struct {
	Mount     string `yaml:"mount" default:"kubernetes" check:"vault_path,filled" doc:"Mount of the auth method."`
	Role      string `yaml:"role" doc:"Vault role bound to the service account."`
	TokenPath string `yaml:"token_path" default:"/var/run/secrets/kubernetes.io/serviceaccount/token" check:",filled" doc:"File with the service account's token, read again at every login."`
}

// The ways in which Redis is deployed.
const (
	RedisStandalone = "standalone"
	RedisSentinel   = "sentinel"
	RedisCluster    = "cluster"
)

// Redis says where Redis is and who we are.
type Redis struct {
	URL              credential.Secret `yaml:"url" env:"REDIS_URL" check:"redis_url" doc:"redis://, rediss:// or unix:// URL of a standalone Redis; may hold user and password, and is a secret for that reason."`
	Mode             string            `yaml:"mode" default:"standalone" oneof:"standalone sentinel cluster" doc:"How Redis is deployed."`
	Addresses        []string          `yaml:"addresses" check:"host_port" doc:"host:port of the Redis, of the Sentinels, or of some of the cluster's nodes."`
	MasterName       string            `yaml:"master_name" doc:"Name by which the Sentinels know the master."`
	Username         string            `yaml:"username" doc:"Redis ACL user."`
	Password         credential.Secret `yaml:"password" doc:"Redis password."`
	SentinelUsername string            `yaml:"sentinel_username" doc:"ACL user at the Sentinels."`
	SentinelPassword credential.Secret `yaml:"sentinel_password" doc:"Password at the Sentinels."`
	DB               int               `yaml:"db" default:"0" min:"0" max:"65535" doc:"Database number; a cluster has only 0, and one in the URL needs 0 here."`
	TLS              RedisTLS          `yaml:"tls" doc:"TLS to Redis and its Sentinels; a rediss:// URL turns it on too."`
	KeyPrefix        string            `yaml:"key_prefix" default:"refresher" check:"redis_key,filled" doc:"First part of every key, so that a Redis can be shared."`
	Timeout          time.Duration     `yaml:"timeout" default:"2s" doc:"Limit of connecting, and of one command."`
	PoolSize         int               `yaml:"pool_size" default:"0" min:"0" max:"65535" doc:"Connections per Redis node. 0: ten per CPU."`
	Shards           int               `yaml:"shards" default:"1" min:"1" max:"1024" doc:"Parts of the queue, which a cluster spreads over its nodes; each costs one command per tick."`
}

// Enabled reports whether there is a Redis at all. Without one the queue and
// the leases are in memory.
func (r Redis) Enabled() bool { return r.URL != "" || len(r.Addresses) > 0 }

// RedisTLS is TLS to Redis.
type RedisTLS struct {
	Enabled    bool   `yaml:"enabled" default:"false" doc:"Speak TLS."`
	CACert     string `yaml:"ca_cert" doc:"PEM file with the CA that signed Redis's certificate. Empty: the system's."`
	ServerName string `yaml:"server_name" doc:"Name that the certificate must have, if it is not the address's."`
}

// Escrow says where sealed answers are kept.
type Escrow struct {
	Dir string `yaml:"dir" default:"/var/lib/refresher" check:",filled" doc:"The spool: a directory on a disk that outlives the process, for this replica alone."`
}

// Egress says how providers are reached.
type Egress struct {
	Allow  []string          `yaml:"allow" check:"host" doc:"Hosts to which plain http and private or loopback addresses are allowed: names, *.domain, addresses, ranges; with or without a port."`
	Proxy  credential.Secret `yaml:"proxy" check:"proxy_url" doc:"http:// or https:// URL of a proxy for all calls to providers; may hold user and password, and is a secret for that reason."`
	CACert string            `yaml:"ca_cert" doc:"PEM file with CAs that are trusted for providers beside the system's."`
}
