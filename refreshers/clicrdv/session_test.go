package clicrdv

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/refreshers"
	"refresher/refreshers/refresherstest"
)

// trial is one Renew of a session.
type trial struct {
	credential credential.Credential
	current    credential.Token
	answers    []refreshers.Answer
}

func (tr trial) run(t *testing.T) (refreshers.Result, []refresherstest.Request, error) {
	t.Helper()
	script := refresherstest.NewScript(refresherstest.Answers(tr.answers...)...)
	r, err := Methods(settings())[0].Refresher.Renew(t.Context(), refreshers.Call{Credential: tr.credential, Current: tr.current, HTTP: script})
	return r, script.Requests(), err
}

// way names what was asked for, in order: login, touch (with a cookie), anonymous.
func way(requests []refresherstest.Request) string {
	var steps []string
	for _, r := range requests {
		switch {
		case r.Method == "POST":
			steps = append(steps, "login")
		case r.Header.Get("Cookie")+r.Header.Get("Authorization") == "":
			steps = append(steps, "anonymous")
		default:
			steps = append(steps, "touch")
		}
	}
	return strings.Join(steps, " ")
}

func TestWays(t *testing.T) {
	t.Parallel()
	login, groups, nobody := loggedInAnswer(t), groupsAnswer(t), nobodyAnswer()
	reissued := refresherstest.With(groups, "Set-Cookie", "_session_id=reissued-session; path=/")
	same := refresherstest.With(groups, "Set-Cookie", cookie.Reveal()+"; path=/")
	deleted := refresherstest.With(groups, "Set-Cookie", "_session_id=; path=/; Max-Age=0")
	anonymous := refresherstest.JSON(200, `{"groups":[]}`)
	live := publishedSession(20 * time.Minute)
	const renewed = credential.Secret("_session_id=0f0f0f0f-new-session")
	for name, tc := range map[string]struct {
		trial
		way     string
		cookie  credential.Secret
		renewed bool
	}{
		"touch":                    {trial{stored(), live, []refreshers.Answer{groups}}, "touch", cookie, false},
		"touch at the last moment": {trial{stored(), publishedSession(50 * time.Minute), []refreshers.Answer{groups}}, "touch", cookie, false},
		"too late for a touch":     {trial{stored(), publishedSession(50*time.Minute + 1), []refreshers.Answer{login}}, "login", renewed, true},
		"reissued":                 {trial{stored(), live, []refreshers.Answer{reissued}}, "touch", "_session_id=reissued-session", true},
		"the same again":           {trial{stored(), live, []refreshers.Answer{same}}, "touch", cookie, false},
		"deleted":                  {trial{stored(), live, []refreshers.Answer{deleted, login}}, "touch login", renewed, true},
		"ended: 401":               {trial{stored(), live, []refreshers.Answer{nobody, login}}, "touch login", renewed, true},
		"ended: 302":               {trial{stored(), live, []refreshers.Answer{refresherstest.JSON(302, ""), login}}, "touch login", renewed, true},
		"ended: HTML":              {trial{stored(), live, []refreshers.Answer{refresherstest.JSON(200, "<html>"), login}}, "touch login", renewed, true},
		"ended: no records":        {trial{stored(), live, []refreshers.Answer{anonymous, login}}, "touch login", renewed, true},
		"ended: 500":               {trial{stored(), live, []refreshers.Answer{refresherstest.JSON(500, ""), login}}, "touch login", renewed, true},
		"first":                    {trial{stored(), credential.Token{}, []refreshers.Answer{login, groups, nobody}}, "login touch anonymous", renewed, true},
		"first, reissued":          {trial{stored(), credential.Token{}, []refreshers.Answer{login, reissued, nobody}}, "login touch anonymous", "_session_id=reissued-session", true},
		"first, anonymous 200":     {trial{stored(), credential.Token{}, []refreshers.Answer{login, groups, anonymous}}, "login touch anonymous", renewed, true},
		"first, deeper probe": {
			trial{with(stored(), "probe_path", "/api/v1/pros/me.json?x=1"), credential.Token{}, []refreshers.Answer{login, refresherstest.JSON(200, `{"pro":{"id":9}}`), nobody}},
			"login touch anonymous", renewed, true,
		},
		"another api_key":     {trial{with(stored(), "api_key", "another-key"), live, []refreshers.Answer{login}}, "login", renewed, true},
		"another environment": {trial{elsewhere(SandboxURL), live, []refreshers.Answer{login}}, "login", renewed, true},
		"nothing to touch":    {trial{stored(), credential.Token{Generation: 2}, []refreshers.Answer{login}}, "login", renewed, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, requests, err := tc.run(t)
			if err != nil {
				t.Fatal(err)
			}
			if got := way(requests); got != tc.way {
				t.Errorf("went %q, want %q", got, tc.way)
			}
			if r.Headers["Cookie"] != tc.cookie || r.Renewed != tc.renewed {
				t.Errorf("published %q, renewed %v", r.Headers["Cookie"].Reveal(), r.Renewed)
			}
			if want := refresherstest.Start().Add(time.Hour); !r.ExpiresAt.Equal(want) {
				t.Errorf("expires at %v, want %v", r.ExpiresAt, want)
			}
			if again := strings.HasPrefix(tc.way, "touch login"); again != (len(r.Warnings) > 0) {
				t.Errorf("warnings are %q", r.Warnings)
			}
		})
	}
}

func elsewhere(base string) credential.Credential {
	c := stored()
	c.BaseURL = base
	return c
}

func TestFailedWays(t *testing.T) {
	t.Parallel()
	login, groups, nobody := loggedInAnswer(t), groupsAnswer(t), nobodyAnswer()
	live := publishedSession(20 * time.Minute)
	me := with(stored(), "probe_path", "/api/v1/pros/me.json")
	for name, tc := range map[string]struct {
		trial
		way  string
		kind credential.Kind
		code string
		text string
	}{
		"asked to wait": {trial{stored(), live, []refreshers.Answer{refresherstest.JSON(429, "")}}, "touch", credential.KindRateLimited, "http_429", ""},
		"down for a while": {
			trial{stored(), live, []refreshers.Answer{refresherstest.With(refresherstest.JSON(503, ""), "Retry-After", "60")}},
			"touch", credential.KindTransient, "http_503", "",
		},
		"wrong password":   {trial{stored(), credential.Token{}, []refreshers.Answer{refresherstest.Fixture(t, 200, "testdata/login_refused.json")}}, "login", credential.KindMisconfigured, "login_refused", `"email", "password"`},
		"wrong hash":       {trial{with(stored(), "password", "", "password_sha1", hashed), credential.Token{}, []refreshers.Answer{nobody}}, "login", credential.KindMisconfigured, "http_401", `"password_sha1"`},
		"refused with 422": {trial{stored(), credential.Token{}, []refreshers.Answer{refresherstest.JSON(422, `{"error":"no"}`)}}, "login", credential.KindMisconfigured, "login_refused", ""},
		"in trouble":       {trial{stored(), credential.Token{}, []refreshers.Answer{refresherstest.JSON(500, `{"error":"no"}`)}}, "login", credential.KindTransient, "http_500", ""},
		"no cookie":        {trial{stored(), credential.Token{}, []refreshers.Answer{refresherstest.Fixture(t, 200, "testdata/login.json")}}, "login", credential.KindTransient, "no_session", ""},
		"no user":          {trial{stored(), credential.Token{}, []refreshers.Answer{refresherstest.With(refresherstest.JSON(200, `{"error":null}`), "Set-Cookie", "_session_id=abc")}}, "login", credential.KindTransient, "no_session", ""},
		"probe not to tell apart": {
			trial{stored(), credential.Token{}, []refreshers.Answer{login, groups, groups}},
			"login touch anonymous", credential.KindMisconfigured, "probe_indistinct", `"probe_path"`,
		},
		"deeper probe not to tell apart": {
			trial{me, credential.Token{}, []refreshers.Answer{login, refresherstest.JSON(200, `{"pro":{}}`), refresherstest.JSON(200, `{"pro":null}`)}},
			"login touch anonymous", credential.KindMisconfigured, "probe_indistinct", `"probe_path"`,
		},
		"probe not for this user": {trial{stored(), credential.Token{}, []refreshers.Answer{login, nobody}}, "login touch", credential.KindMisconfigured, "probe_indistinct", `"probe_path"`},
		"no such probe":           {trial{me, credential.Token{}, []refreshers.Answer{login, refresherstest.JSON(404, "")}}, "login touch", credential.KindMisconfigured, "probe_indistinct", `"probe_path"`},
		"probe in trouble":        {trial{stored(), credential.Token{}, []refreshers.Answer{login, refresherstest.JSON(502, "")}}, "login touch", credential.KindTransient, "http_502", ""},
		"anonymous in trouble":    {trial{stored(), credential.Token{}, []refreshers.Answer{login, groups, refresherstest.JSON(502, "")}}, "login touch anonymous", credential.KindTransient, "http_502", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, requests, err := tc.run(t)
			if got := way(requests); got != tc.way {
				t.Errorf("went %q, want %q", got, tc.way)
			}
			if err == nil || credential.KindOf(err) != tc.kind || credential.CodeOf(err) != tc.code || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("%v: %v; want %v, %s", credential.KindOf(err), err, tc.kind, tc.code)
			}
		})
	}
}

func TestLoginRequest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]credential.Credential{
		"pro":     stored(),
		"account": with(stored(), "user_type", "account", "password", "", "password_sha1", hashed),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, requests, err := trial{c, credential.Token{Generation: 1}, []refreshers.Answer{loggedInAnswer(t)}}.run(t)
			if err != nil {
				t.Fatal(err)
			}
			req := requests[0]
			if want := ProductionURL + "/api/v1/sessions/login.json?apikey=" + url.QueryEscape(apiKey.Reveal()); req.URL != want {
				t.Error("the login is not at its documented place, with nothing but the apikey in its query")
			}
			form, err := url.ParseQuery(req.Body)
			if err != nil || len(form) != 2 || form.Get(name+"[email]") != "usager@example.fr" || form.Get(name+"[password]") != hashed {
				t.Error("the form is not the documented one, with the SHA-1 of the password")
			}
		})
	}
}

func TestProbeRequest(t *testing.T) {
	t.Parallel()
	key := url.QueryEscape(apiKey.Reveal())
	for path, want := range map[string]string{
		"":                    ProductionURL + "/api/v1/groups.json?apikey=" + key,
		"/api/v1/me.json":     ProductionURL + "/api/v1/me.json?apikey=" + key,
		"/api/v1/me.json?a=b": ProductionURL + "/api/v1/me.json?a=b&apikey=" + key,
	} {
		_, requests, _ := trial{with(stored(), "probe_path", path), publishedSession(0), []refreshers.Answer{groupsAnswer(t)}}.run(t)
		if requests[0].URL != want || requests[0].Header.Get("Cookie") != cookie.Reveal() {
			t.Errorf("the probe on %q is not what it should be", path)
		}
	}
}
