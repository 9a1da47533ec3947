package chart

import (
	"encoding/json"
	"strings"
	"testing"
)

func toJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestRefused sees that wrong values do not render, and that the message names what to do.
func TestRefused(t *testing.T) {
	t.Parallel()
	const ingress = `{"enabled":true,"hosts":[{"host":"a.example.com","paths":[{"path":"PATH","pathType":"TYPE"}]}]}`
	path := func(path, kind string) string {
		return "ingress=" + strings.NewReplacer("PATH", path, "TYPE", kind).Replace(ingress)
	}
	url := func(beside string) string {
		return `redis={"existingSecret":"redis","secretKeys":{"url":"url"},` + beside + `}`
	}
	const environment = `extraEnv=[{"name":"REDIS_URL","value":"redis://r"}]`
	tests := map[string]struct {
		set  []string // as of --set-json
		want string
	}{
		// By values.schema.json.
		"a misspelt key":                {[]string{`replicas=3`}, "'replicas' not allowed"},
		"a misspelt key below":          {[]string{`vault={"adress":"https://v"}`}, "at '/vault': additional properties 'adress' not allowed"},
		"a number as text":              {[]string{`replicaCount="two"`}, "at '/replicaCount': got string, want integer"},
		"a tag as a number":             {[]string{`image={"tag":1.2}`}, "at '/image/tag': got number, want string"},
		"a label as a number":           {[]string{`commonLabels={"a":1}`}, "at '/commonLabels/a': got number, want string"},
		"no URL of Vault":               {[]string{`vault={"address":"vault:8200"}`}, "at '/vault/address'"},
		"an unknown login":              {[]string{`vault={"auth":{"method":"ldap"}}`}, "at '/vault/auth/method'"},
		"an unknown mode of Redis":      {[]string{`redis={"mode":"sharded"}`}, "at '/redis/mode'"},
		"a URL as an address of Redis":  {[]string{`redis={"addresses":["redis://redis:6379"]}`}, "at '/redis/addresses/0'"},
		"an access mode for many pods":  {[]string{`persistence={"accessModes":["ReadWriteMany"]}`}, "at '/persistence/accessModes/0'"},
		"a short token":                 {[]string{`vault={"auth":{"kubernetes":{"expirationSeconds":60}}}`}, "at '/vault/auth/kubernetes/expirationSeconds'"},
		"a misspelt change to a rule":   {[]string{`prometheusRule={"rules":{"RefresherAbsent":{"enable":false}}}`}, "'enable' not allowed"},
		"an ingress path without slash": {[]string{path("console", "Prefix")}, "at '/ingress/hosts/0/paths/0/path'"},
		// By the templates.
		"no Vault":                         {[]string{`vault={"address":""}`}, "vault.address: set it to the URL of your Vault"},
		"replicas without Redis":           {[]string{`redis={"addresses":[]}`}, "replicaCount: there are 2 replicas and no Redis"},
		"replicas with Redis left out":     {[]string{`redis={"addresses":null}`}, "replicaCount: there are 2 replicas and no Redis"},
		"an AppRole without its Secret":    {[]string{`vault={"auth":{"method":"approle"}}`}, "vault.auth.approle.existingSecret: set it"},
		"a token without its Secret":       {[]string{`vault={"auth":{"method":"token"}}`}, "vault.auth.token.existingSecret: set it"},
		"a Redis URL and another mode":     {[]string{url(`"mode":"cluster"`)}, "redis.mode: a URL is for a standalone Redis"},
		"a Redis URL and a master":         {[]string{url(`"masterName":"m"`)}, "redis.masterName: is for Sentinel"},
		"a Redis URL and a user":           {[]string{url(`"username":"u"`)}, "redis.username: the URL"},
		"a Redis URL and a database":       {[]string{url(`"db":1`)}, "redis.db: the URL"},
		"a Redis URL and a CA, but no TLS": {[]string{url(`"tls":{"caSecret":{"name":"ca"}}`)}, "redis.tls.enabled: set it to true"},
		"a CA of Redis, but no TLS":        {[]string{`redis={"tls":{"caSecret":{"name":"ca"}}}`}, "redis.tls.enabled: set it to true"},
		"a name for TLS, but no TLS":       {[]string{`redis={"tls":{"serverName":"redis"}}`}, "redis.tls.enabled: set it to true"},
		"a key of a URL, but no Secret":    {[]string{`redis={"secretKeys":{"url":"url"}}`}, "redis.existingSecret: set it"},
		"Sentinels without a master":       {[]string{`redis={"mode":"sentinel"}`}, "redis.masterName: set it"},
		"a master without Sentinels":       {[]string{`redis={"masterName":"m"}`}, "redis.masterName: is for Sentinel"},
		"a Sentinel's user without any":    {[]string{`redis={"sentinelUsername":"u"}`}, "redis.sentinelUsername: is for Sentinel"},
		"a Sentinel's password with none":  {[]string{`redis={"mode":"cluster","existingSecret":"r","secretKeys":{"sentinelPassword":"p"}}`}, "redis.secretKeys.sentinelPassword: is for Sentinel"},
		"one Redis at two addresses":       {[]string{`redis={"addresses":["a:1","b:2"]}`}, "redis.addresses: there are 2"},
		"a cluster's other database":       {[]string{`redis={"mode":"cluster","db":1}`}, "redis.db: a cluster has only 0"},
		"a cluster without addresses":      {[]string{`redis={"mode":"cluster","addresses":[]}`, `replicaCount=1`}, "redis.addresses: set it"},
		"a URL in the environment too":     {[]string{environment}, "redis.addresses: extraEnv has REDIS_URL too"},
		"addresses in the environment too": {[]string{`extraEnv=[{"name":"REFRESHER_REDIS_ADDRESSES","value":"r:6379"}]`}, "redis.addresses: extraEnv has REFRESHER_REDIS_ADDRESSES too"},
		"a throw-away Redis and a URL":     {[]string{`redis={"dev":{"enabled":true}}`, environment}, "redis.dev.enabled: extraEnv has REDIS_URL too"},
		"a URL here and there":             {[]string{url(`"addresses":[]`), environment}, "redis.secretKeys.url: extraEnv has REDIS_URL too"},
		"another mode and a URL elsewhere": {[]string{`redis={"mode":"cluster","addresses":[]}`, environment}, "redis.mode: a URL is for a standalone Redis"},
		"switched off by itself":           {[]string{`enabled=false`}, "enabled: only a chart around this one"},
		"two monitors":                     {[]string{`serviceMonitor={"enabled":true}`, `podMonitor={"enabled":true}`}, "choose one of them"},
		"a setting with a value":           {[]string{`config={"vault":{"address":"https://v"}}`}, "config.vault.address: the chart sets this itself"},
		"a deep setting with a value":      {[]string{`config={"vault":{"auth":{"kubernetes":{"role":"x"}}}}`}, "config.vault.auth.kubernetes.role: the chart sets this itself"},
		"the spool elsewhere":              {[]string{`config={"escrow":{"dir":"/tmp"}}`}, "config.escrow.dir: the chart sets this itself"},
		"another Redis":                    {[]string{`redis={"addresses":[]}`, `replicaCount=1`, `config={"redis":{"addresses":["r:6379"]}}`}, "config.redis.addresses: the chart sets this itself"},
		"a section that is none":           {[]string{`config={"vault":"x"}`}, "config.vault: the chart sets this itself"},
		"a token in the ConfigMap":         {[]string{`config={"vault":{"token":"x"}}`}, "config.vault.token: is or may hold a secret"},
		"a secret ID in the ConfigMap":     {[]string{`config={"vault":{"auth":{"approle":{"secret_id":"x"}}}}`}, "config.vault.auth.approle.secret_id: is or may"},
		"a Redis URL in the ConfigMap":     {[]string{`config={"redis":{"url":"redis://r"}}`}, "config.redis.url: is or may hold a secret"},
		"a password in the ConfigMap":      {[]string{`config={"redis":{"password":"x"}}`}, "config.redis.password: is or may hold a secret"},
		"a Sentinel's in the ConfigMap":    {[]string{`config={"redis":{"sentinel_password":"x"}}`}, "config.redis.sentinel_password: is or may"},
		"a proxy in the ConfigMap":         {[]string{`config={"egress":{"proxy":"http://u:p@x"}}`}, "config.egress.proxy: is or may hold a secret"},
		"what the pod is built by":         {[]string{`extraEnv=[{"name":"REFRESHER_RENEWAL_SHUTDOWN_GRACE","value":"1h"}]`}, "extraEnv: REFRESHER_RENEWAL_SHUTDOWN_GRACE"},
		"an unknown rule":                  {[]string{`prometheusRule={"enabled":true,"rules":{"Refresher":{"enabled":false}}}`}, "prometheusRule.rules.Refresher: there is no such rule; there are"},
		"an ingress without hosts":         {[]string{`ingress={"enabled":true}`}, "ingress.hosts: say which"},
		"an ingress to everything":         {[]string{path("/", "Prefix")}, "the path / takes in /metrics"},
		"an ingress to everything, by any": {[]string{path("/", "ImplementationSpecific")}, "the path / takes in /metrics"},
		"an ingress to the metrics":        {[]string{path("/metrics", "Exact")}, "the path /metrics takes in /metrics"},
		"an ingress to what begins so":     {[]string{path("/m", "Prefix")}, "the path /m takes in /metrics"},
		"an ingress to other letters":      {[]string{path("/Metrics", "Exact")}, "the path /Metrics takes in /metrics"},
		"an ingress to all with a star":    {[]string{path("/*", "ImplementationSpecific")}, "the path /* takes in /metrics"},
		"an ingress to all by a pattern":   {[]string{path("/(.*)", "Prefix")}, "the path /(.*) takes in /metrics"},
		"an ingress as the class likes":    {[]string{path("/console", "ImplementationSpecific")}, "the path /console takes in /metrics"},
		"an ingress with two slashes":      {[]string{path("//", "Prefix")}, "the path // takes in /metrics"},
		"a short grace period":             {[]string{`terminationGracePeriodSeconds=159`}, "159 is less than the 160 s that a stop may take"},
		"a grace period shorter than the settings": {
			[]string{`terminationGracePeriodSeconds=180`, `config={"renewal":{"shutdown_grace":"3m"},"http":{"shutdown_timeout":"1s"}}`},
			"180 is less than the 181 s that a stop may take (renewal.shutdown_grace 3m and http.shutdown_timeout 1s)",
		},
		"a grace that is no duration": {[]string{`config={"renewal":{"shutdown_grace":"long"}}`}, `config.renewal.shutdown_grace: "long" is no duration`},
		"a grace without a unit":      {[]string{`config={"renewal":{"shutdown_grace":150}}`}, `config.renewal.shutdown_grace: "150" is no duration`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var args []string
			for _, set := range test.set {
				args = append(args, "--set-json", set)
			}
			_, err := template(t, chartDir, args...)
			if err == nil {
				t.Fatal("it rendered")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("the message is %v, and should have %q", err, test.want)
			}
		})
	}
}

// TestAccepted sees that what is refused above is refused for the reason given.
func TestAccepted(t *testing.T) {
	t.Parallel()
	tests := map[string][]string{
		"one replica without Redis":           {`redis={"addresses":[]}`, `replicaCount=1`},
		"Redis of the environment":            {`redis={"addresses":[]}`, `extraEnv=[{"name":"REDIS_URL","value":"redis://r"}]`},
		"no pods at all":                      {`replicaCount=0`},
		"a setting beside the chart's":        {`config={"vault":{"mount":"kv"}}`},
		"an empty section":                    {`config={"vault":null}`},
		"an ingress to metrics that is meant": {`ingress={"enabled":true,"allowMetrics":true,"hosts":[{"host":"a","paths":[{"path":"/","pathType":"Prefix"}]}]}`},
		"an ingress to the first page alone":  {`ingress={"enabled":true,"hosts":[{"host":"a","paths":[{"path":"/","pathType":"Exact"}]}]}`},
		"Sentinels and all that is theirs":    {`redis={"mode":"sentinel","masterName":"m","sentinelUsername":"u","db":3,"addresses":["a:1","b:2"]}`},
		"a throw-away Redis beside the rest":  {`redis={"mode":"sentinel","dev":{"enabled":true}}`},
		"an ingress that its class reads":     {`ingress={"enabled":true,"allowMetrics":true,"hosts":[{"host":"a","paths":[{"path":"/console/*","pathType":"ImplementationSpecific"}]}]}`},
		"an ingress to a well-known path":     {`ingress={"enabled":true,"hosts":[{"host":"a","paths":[{"path":"/.well-known/refresher_1/","pathType":"Prefix"}]}]}`},
		"anything that is global":             {`global={"other":{"chart":true}}`},
	}
	for name, sets := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var args []string
			for _, set := range sets {
				args = append(args, "--set-json", set)
			}
			mustTemplate(t, args...)
		})
	}
}
