package web_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"refresher/internal/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type status struct {
	live  error
	ready []web.Check
}

func (s status) Live() error        { return s.live }
func (s status) Ready() []web.Check { return s.ready }

func TestServer(t *testing.T) {
	t.Parallel()
	bad := errors.New("vault: sealed")
	for name, tc := range map[string]struct {
		status status
		path   string
		code   int
		says   string
	}{
		"live":             {status{}, "/livez", 200, "loop: ok"},
		"not live":         {status{live: errors.New("no tick for 2m")}, "/livez", 503, "no tick"},
		"live, not ready":  {status{ready: []web.Check{{Name: "vault", Err: bad}}}, "/livez", 200, "ok"},
		"ready":            {status{ready: []web.Check{{Name: "vault"}, {Name: "redis"}}}, "/readyz", 200, "vault: ok\nredis: ok"},
		"not ready":        {status{ready: []web.Check{{Name: "redis"}, {Name: "vault", Err: bad}}}, "/readyz", 503, "redis: ok\nvault: vault: sealed"},
		"metrics":          {status{}, "/metrics", 200, "numbers"},
		"the way in":       {status{}, "/", 200, "/readyz"},
		"nothing there":    {status{}, "/tokens", 404, ""},
		"another method":   {status{}, "POST /livez", 405, ""},
		"a path of dotted": {status{}, "/../livez", 200, "loop: ok"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			numbers := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "numbers") })
			server, err := web.Listen("127.0.0.1:0", tc.status, numbers)
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- server.Serve(ctx, time.Second) }()
			method, path, found := strings.Cut(tc.path, " ")
			if !found {
				method, path = http.MethodGet, tc.path
			}
			req, err := http.NewRequestWithContext(t.Context(), method, "http://"+server.Address()+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			res, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if err != nil || res.StatusCode != tc.code || !strings.Contains(string(body), tc.says) {
				t.Errorf("%d %q, %v; want %d with %q", res.StatusCode, body, err, tc.code, tc.says)
			}
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestListenSaysWhichSetting(t *testing.T) {
	t.Parallel()
	if _, err := web.Listen("no such address", status{}, nil); err == nil || !strings.Contains(err.Error(), "http.listen") {
		t.Errorf("%v does not name http.listen", err)
	}
}
