package vaultsim

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Rule lets a token do something: a path, which may end with '*', and the
// capabilities as in a policy of Vault's.
type Rule struct {
	Path         string
	Capabilities []string
}

// token is what is known of a token.
type token struct {
	root  bool
	rules []Rule
	// expires is zero for one that never does.
	expires time.Time
	ttl     time.Duration
}

// AddToken makes a token that may do what the rules say, and what every token
// may do about itself. With a ttl it expires, unless it is renewed. Adding one that
// is there replaces it.
func (s *Server) AddToken(id string, ttl time.Duration, rules ...Rule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &token{rules: slices.Clone(rules), ttl: ttl}
	if ttl > 0 {
		t.expires = time.Now().Add(ttl)
	}
	s.tokens[id] = t
}

// Revoke makes a token unknown.
func (s *Server) Revoke(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, id)
}

// ownPaths may be called by every token, as Vault's default policy says.
var ownPaths = []string{"auth/token/lookup-self", "auth/token/renew-self", "sys/capabilities-self"}

// authorize returns the token that was sent, or the answer to one that is
// unknown or may not do this.
func (s *Server) authorize(id, op, path string) (*token, *answer) {
	t := s.tokens[id]
	if t == nil || !t.expires.IsZero() && time.Now().After(t.expires) {
		a := failed(http.StatusForbidden, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n")
		return nil, &a
	}
	// The path about mounts looks at the rights on the mount itself.
	if slices.Contains(ownPaths, path) || strings.HasPrefix(path, mountsPath) {
		return t, nil
	}
	if s.maySend(t, op, path) {
		return t, nil
	}
	a := failed(http.StatusForbidden, "1 error occurred:\n\t* permission denied\n\n")
	return nil, &a
}

// maySend reports whether a token's rules allow an operation. A write is
// "create" where there is no document yet.
func (s *Server) maySend(t *token, op, path string) bool {
	name, isData := strings.CutPrefix(path, Mount+"/data/")
	if isData && op == "update" && s.store.documents[name] == nil {
		op = "create"
	}
	if op == "list" && !strings.HasSuffix(path, "/") {
		path += "/"
	}
	may := t.capabilities(path)
	return slices.Contains(may, op) || slices.Contains(may, "root")
}

// capabilities returns what a token may do on a path: what the rule with the
// longest match says.
func (t *token) capabilities(path string) []string {
	if t.root {
		return []string{"root"}
	}
	best, found := -1, []string{"deny"}
	for _, rule := range t.rules {
		prefix, glob := strings.CutSuffix(rule.Path, "*")
		matches := rule.Path == path || glob && strings.HasPrefix(path, prefix)
		if matches && len(prefix) > best {
			best, found = len(prefix), rule.Capabilities
		}
	}
	return found
}

const mountsPath = "sys/internal/ui/mounts/"

// route serves a path that the token may call.
func (s *Server) route(op, path string, t *token, r *http.Request, body map[string]any) answer {
	switch {
	case path == "auth/token/lookup-self":
		return answer{status: http.StatusOK, data: t.lookup()}
	case path == "auth/token/renew-self":
		return t.renew(r.Header.Get("X-Vault-Token"))
	case path == "sys/capabilities-self":
		return capabilitiesSelf(t, body)
	case strings.HasPrefix(path, mountsPath):
		return mountInfo(t, strings.Trim(strings.TrimPrefix(path, mountsPath), "/"))
	}
	if below, ok := strings.CutPrefix(path, Mount+"/"); ok {
		return s.store.route(op, below, r, body)
	}
	return failed(http.StatusNotFound, "no handler for route "+strconv.Quote(path)+". route entry not found.")
}

func (t *token) lookup() map[string]any {
	data := map[string]any{"ttl": 0, "renewable": t.ttl > 0, "expire_time": nil, "type": "service"}
	if t.ttl > 0 {
		data["ttl"], data["expire_time"] = int(time.Until(t.expires).Seconds()), stamp(t.expires)
	}
	return data
}

// authData is data that an answer carries as its login.
type authData map[string]any

func (t *token) renew(id string) answer {
	if t.ttl > 0 {
		t.expires = time.Now().Add(t.ttl)
	}
	return answer{status: http.StatusOK, data: authData{
		"client_token": id, "renewable": t.ttl > 0, "lease_duration": int(t.ttl.Seconds()),
	}}
}

func capabilitiesSelf(t *token, body map[string]any) answer {
	paths, _ := body["paths"].([]any)
	if path, ok := body["path"]; ok {
		paths = append(paths, path)
	}
	data := map[string]any{}
	for _, p := range paths {
		if path, ok := p.(string); ok {
			data[path] = t.capabilities(path)
			data["capabilities"] = data[path]
		}
	}
	if len(data) == 0 {
		return failed(http.StatusBadRequest, "paths must be supplied")
	}
	return answer{status: http.StatusOK, data: data}
}

func mountInfo(t *token, mount string) answer {
	mayUse := t.root || slices.ContainsFunc(t.rules, func(r Rule) bool { return strings.HasPrefix(r.Path, Mount+"/") })
	if mount != Mount || !mayUse {
		return failed(http.StatusForbidden,
			"preflight capability check returned 403, please ensure client's policies grant access to path "+strconv.Quote(mount+"/"))
	}
	return answer{status: http.StatusOK, data: map[string]any{
		"path": Mount + "/", "type": "kv", "options": map[string]any{"version": "2"},
	}}
}

// imitated is the version of Vault whose answers these are.
const imitated = "1.21.2"

func (s *Server) health(r *http.Request) answer {
	status := http.StatusOK
	if s.sealed {
		status = http.StatusServiceUnavailable
		if n, err := strconv.Atoi(r.URL.Query().Get("sealedcode")); err == nil {
			status = n
		}
	}
	return answer{status: status, bare: true, data: map[string]any{
		"initialized": true, "sealed": s.sealed, "standby": s.sealed, "performance_standby": false,
		"server_time_utc": time.Now().Unix(), "version": imitated,
	}}
}

func (s *Server) sealStatus() answer {
	return answer{status: http.StatusOK, bare: true, data: map[string]any{
		"type": "shamir", "initialized": true, "sealed": s.sealed, "t": 1, "n": 1, "progress": 0, "version": imitated,
	}}
}
