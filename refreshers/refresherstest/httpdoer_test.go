package refresherstest

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"refresher/internal/credential"
)

func TestHTTPDoer(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) })
	mux.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ok", http.StatusFound) })
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(strings.Repeat("x", maxBody+1))) })
	mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		_, _ = w.Write([]byte("12345"))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/lost", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	server := httptest.NewServer(mux)
	defer server.Close()
	doer := HTTPDoer(server.Client())
	get := func(ctx context.Context, url string) *http.Request {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		return req
	}
	for path, want := range map[string]struct {
		status, length int
		truncated      bool
	}{
		"/ok": {200, 2, false}, "/redirect": {302, -1, false}, "/large": {200, maxBody, true}, "/cut": {200, 5, true},
	} {
		before := time.Now()
		a, err := doer.Do(t.Context(), get(t.Context(), server.URL+path))
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if a.Status != want.status || want.length >= 0 && len(a.Body) != want.length || a.Truncated != want.truncated || a.StartedAt.Before(before) {
			t.Errorf("%s: %d with %d bytes, truncated %v", path, a.Status, len(a.Body), a.Truncated)
		}
	}
	if _, err := doer.Do(t.Context(), get(t.Context(), server.URL+"/lost")); credential.KindOf(err) != credential.KindAmbiguous {
		t.Errorf("lost: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := doer.Do(ctx, get(t.Context(), server.URL+"/ok")); !errors.Is(err, context.Canceled) || credential.CodeOf(err) != credential.CodeNotConnected {
		t.Errorf("cancelled: %v", err)
	}
	server.Close()
	if _, err := doer.Do(t.Context(), get(t.Context(), server.URL+"/ok?apikey="+secret[:4])); credential.CodeOf(err) != credential.CodeNotConnected || strings.Contains(err.Error(), "apikey") {
		t.Errorf("nobody there: %v", err)
	}
}
