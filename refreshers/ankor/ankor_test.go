package ankor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"refresher/internal/credential"
	"refresher/refreshers"
	"refresher/refreshers/refresherstest"
)

// testKey is one RSA key for all tests, because making one takes a while.
var testKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func inPEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func pkcs1() string { return inPEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(testKey())) }

func pkcs8(t testing.TB, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return inPEM("PRIVATE KEY", der)
}

func settings() Settings {
	s := DefaultSettings()
	s.Now = refresherstest.Start
	return s
}

func stored(privateKey string) credential.Credential {
	return credential.Credential{
		ID: credential.ID{Tenant: "acme", Name: "charter"}, Provider: Provider, BaseURL: BaseURL,
		Fields: map[string]credential.Secret{
			"company_uri": "https://api.ankor.io/companies/acme?x=1&y=é",
			"key_id":      "made-up-key-id",
			"private_key": credential.Secret(privateKey),
		},
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for field, key := range map[string]string{
		"expires_in": pkcs1(),
		"expires":    strings.ReplaceAll(pkcs8(t, testKey()), "\n", `\n`), // in one line
	} {
		t.Run(field, func(t *testing.T) {
			t.Parallel()
			refresherstest.Run(t, refresherstest.Subject{
				Method:     Methods(settings())[0],
				Credential: stored(key),
				Success:    []refreshers.Answer{refresherstest.Fixture(t, 200, "testdata/token.json")},
				WithLifetime: func(raw string) []refreshers.Answer {
					return []refreshers.Answer{refresherstest.JSON(200, fmt.Sprintf(`{"access_token":"made-up-token","%s":%s}`, field, raw))}
				},
				MaxLifetime: time.Hour,
				Renewed:     true,
				Headers:     []string{"Authorization"},
			})
		})
	}
}

func mint(t *testing.T, c credential.Credential, a refreshers.Answer) (refreshers.Result, refresherstest.Request, error) {
	t.Helper()
	script := refresherstest.NewScript(refresherstest.Answers(a)...)
	r, err := Methods(settings())[0].Refresher.Renew(t.Context(), refreshers.Call{Credential: c, Attempt: "attempt-1", HTTP: script})
	if len(script.Requests()) == 0 {
		return r, refresherstest.Request{}, err
	}
	return r, script.Requests()[0], err
}

func TestAssertion(t *testing.T) {
	t.Parallel()
	c := stored(pkcs1())
	_, req, err := mint(t, c, refresherstest.Fixture(t, 200, "testdata/token.json"))
	if err != nil {
		t.Fatal(err)
	}
	if req.Method != "POST" || req.URL != "https://api.ankor.io/iam/oauth/token" || req.Header.Get("Authorization") != "" {
		t.Errorf("asked for %s %s, or with client authentication", req.Method, req.URL)
	}
	form, err := url.ParseQuery(req.Body)
	if err != nil || len(form) != 2 || form.Get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
		t.Fatal("the form is not the documented one")
	}
	claims := jwt.MapClaims{}
	parsed, err := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithTimeFunc(refresherstest.Start)).
		ParseWithClaims(form.Get("assertion"), claims, func(*jwt.Token) (any, error) { return &testKey().PublicKey, nil })
	if err != nil {
		t.Fatal(err)
	}
	if parsed.Header["kid"] != "made-up-key-id" || parsed.Header["typ"] != "JWT" || len(parsed.Header) != 3 {
		t.Errorf("header is %v", parsed.Header)
	}
	if aud, ok := claims["aud"].(string); !ok || aud != "ankor.io" {
		t.Errorf("aud is %v, want a string", claims["aud"])
	}
	if scopes, ok := claims["scopes"].([]any); !ok || len(scopes) != 1 || scopes[0] != "website:read:*" {
		t.Errorf("scopes are %v, want an array", claims["scopes"])
	}
	if uri := c.Field("company_uri"); claims["iss"] != uri || claims["sub"] != uri {
		t.Errorf("iss and sub are %v and %v", claims["iss"], claims["sub"])
	}
	iat, exp := int64(claims["iat"].(float64)), int64(claims["exp"].(float64))
	if want := refresherstest.Start().Unix() - 30; iat != want || exp-iat != 55*60 {
		t.Errorf("iat is %d, want %d; exp is %d s later", iat, want, exp-iat)
	}
	if jti, _ := claims["jti"].(string); !strings.HasPrefix(jti, "attempt-1-") {
		t.Errorf("jti is %q", jti)
	}
}

func TestAssertionIsFresh(t *testing.T) {
	t.Parallel()
	a := refresherstest.Fixture(t, 200, "testdata/token.json")
	c := stored(pkcs1())
	_, one, _ := mint(t, c, a)
	_, two, _ := mint(t, c, a)
	if one.Body == two.Body {
		t.Error("the same assertion twice")
	}
}

func TestAssertionStaysBelowAnHour(t *testing.T) {
	t.Parallel()
	s := settings()
	s.AssertionLifetime = 24 * time.Hour
	_, exp, err := assertion(stored(pkcs1()), s, "attempt")
	if iat := refresherstest.Start().Add(-30 * time.Second); err != nil || exp.Sub(iat) >= time.Hour {
		t.Errorf("lives %v: %v", exp.Sub(iat), err)
	}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	c := stored(pkcs1())
	c.Fields["scopes"] = " entity:*  website:read:* "
	signed, _, err := assertion(c, settings(), "attempt")
	if err != nil {
		t.Fatal(err)
	}
	claims := jwt.MapClaims{}
	if _, _, err := jwt.NewParser().ParseUnverified(signed, claims); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(claims["scopes"]); got != "[entity:* website:read:*]" {
		t.Errorf("scopes are %s", got)
	}
	for value, ok := range map[string]bool{"entity:*": true, " ": false, "a,b": false, `a"b`: false, "é": false} {
		if err := checkScopes(value); (err == nil) != ok {
			t.Errorf("%q: %v", value, err)
		}
	}
}

func TestPrivateKeys(t *testing.T) {
	t.Parallel()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := pkcs1()
	public := inPEM("PUBLIC KEY", x509.MarshalPKCS1PublicKey(&testKey().PublicKey))
	for name, tc := range map[string]struct {
		text string
		want string // in the error; empty: none
	}{
		"PKCS#1":            {good, ""},
		"PKCS#8":            {pkcs8(t, testKey()), ""},
		"in one line":       {strings.ReplaceAll(good, "\n", `\n`), ""},
		"Windows":           {strings.ReplaceAll(good, "\n", "\r\n"), ""},
		"Windows, one line": {strings.ReplaceAll(good, "\n", `\r\n`), ""},
		"quoted":            {`"` + strings.ReplaceAll(good, "\n", `\n`) + `"`, ""},
		"behind its public": {public + good, ""},
		"public":            {public, "no private key"},
		"no PEM":            {"made-up", "no private key"},
		"cut off":           {good[:len(good)/2], "no private key"},
		"another curve":     {pkcs8(t, ec), "is not an RSA key"},
		"encrypted":         {inPEM("ENCRYPTED PRIVATE KEY", []byte("made-up")), "encrypted"},
		"broken PKCS#1":     {inPEM("RSA PRIVATE KEY", []byte("made-up")), "PKCS#1"},
		"broken PKCS#8":     {inPEM("PRIVATE KEY", []byte("made-up")), "PKCS#8"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := checkPrivateKey(tc.text)
			_, _, renewErr := mint(t, stored(tc.text), refresherstest.Fixture(t, 200, "testdata/token.json"))
			if tc.want == "" {
				if err != nil || renewErr != nil {
					t.Errorf("%v; %v", err, renewErr)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("the error is %v, want %s", err, tc.want)
			}
			if credential.KindOf(renewErr) != credential.KindMisconfigured || !strings.Contains(renewErr.Error(), `"private_key"`) {
				t.Errorf("renewing says %v", renewErr)
			}
			refresherstest.CheckError(t, err, tc.text)
			refresherstest.CheckError(t, renewErr, tc.text)
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	c := stored(pkcs1())
	for _, tc := range []struct {
		status int
		body   string
		kind   credential.Kind
		code   string
		text   string
	}{
		{400, `{"error":"invalid_grant"}`, credential.KindRejected, "invalid_grant", ""},
		{200, `{"error":{"code":"invalid_grant"}}`, credential.KindRejected, "invalid_grant", ""},
		{400, `{"error":"invalid_scope"}`, credential.KindMisconfigured, "invalid_scope", `"scopes"`},
		{401, `{"error":"invalid_client"}`, credential.KindMisconfigured, "invalid_client", `"key_id"`},
		{401, `no`, credential.KindRejected, "http_401", ""},
		{403, `no`, credential.KindTransient, "http_403", ""},
		{429, `{"error":"invalid_grant"}`, credential.KindRateLimited, "http_429", ""},
		{400, `{"error":"invalid_request"}`, credential.KindTransient, "invalid_request", ""},
		{200, `{"access_token":"a b"}`, credential.KindTransient, "bad_token", ""},
		{200, `{"access_token":"ab","token_type":"mac"}`, credential.KindTransient, "bad_token", ""},
		{200, `{"access_token":"ab","expires_in":0}`, credential.KindTransient, "bad_lifetime", ""},
	} {
		_, _, err := mint(t, c, refresherstest.JSON(tc.status, tc.body))
		if credential.KindOf(err) != tc.kind || credential.CodeOf(err) != tc.code || !strings.Contains(fmt.Sprint(err), tc.text) {
			t.Errorf("%d %s: %v: %v; want %v, %s", tc.status, tc.body, credential.KindOf(err), err, tc.kind, tc.code)
		}
	}
}
