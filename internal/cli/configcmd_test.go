package cli

import "testing"

func TestConfigCheck(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if r := w.must(ExitOK, "config", "check"); r.out != "ok\n" || r.err != "" {
		t.Errorf("%+v", r)
	}
	bare := &world{t: t}
	contains(t, bare.must(ExitOK, "config", "check").out, "warning: vault.address: must be set", "no way to log in", "\nok\n")

	bad := file(t, "bad.yaml", "log:\n  levle: info\nvault:\n  token: ["+marker+"]\nrenewal:\n  in_flight_bound: 1s\n")
	r := w.must(ExitFailed, "config", "check", "--config", bad, "--set", "redis.shards=0")
	contains(t, r.err, "refresher: configuration: ", "bad.yaml:2: log.levle: unknown key; did you mean log.level?", "redis.shards", "vault.token")
	if r.out != "" {
		t.Errorf("%q", r.out)
	}
	contains(t, w.must(ExitFailed, "config", "check", "--config", "/nowhere.yaml").err, "/nowhere.yaml: cannot be opened")
	contains(t, w.must(ExitFailed, "--set", marker, "config", "check").err, "is not path=value")
	contains(t, w.with("REFRESHER_LOG_LEVL=debug").must(ExitFailed, "config", "check").err, "did you mean REFRESHER_LOG_LEVEL?")
}

func TestConfigPrint(t *testing.T) {
	t.Parallel()
	w := newWorld(t).with("REDIS_URL=redis://user:" + marker + "@redis:6379")
	r := w.must(ExitOK, "config", "print", "--set", "log.level=debug")
	contains(t, r.out, "level: debug # flag --set", "token: '[redacted]' # env VAULT_TOKEN", "redis:6379")
	contains(t, w.must(ExitFailed, "config", "print", "--set", "log.level=loud").err, "log.level")
}

func TestConfigReference(t *testing.T) {
	t.Parallel()
	r := (&world{t: t}).must(ExitOK, "config", "reference")
	contains(t, r.out, "## renewal", "REFRESHER_RENEWAL_IN_FLIGHT_BOUND")
}
