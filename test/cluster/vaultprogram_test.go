package cluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

// vaultProgram is what this test's program is called when it stands in for HashiCorp's
// vault program, which the guide's reader has and this machine need not.
const vaultProgram = "vault"

// actAsVault does the one command that the guide gives that program: token create, with
// the token, the address and the CA of the environment. It prints the new token.
func actAsVault(args []string) error {
	if len(args) < 2 || args[0] != "token" || args[1] != "create" {
		return fmt.Errorf("this stand-in knows no command %q", args)
	}
	var body struct {
		Policies []string `json:"policies"`
		TTL      string   `json:"ttl"`
	}
	for _, flag := range args[2:] {
		switch name, value, _ := strings.Cut(flag, "="); {
		case name == "-policy":
			body.Policies = append(body.Policies, value)
		case name == "-ttl":
			body.TTL = value
		case flag != "-field=token":
			return fmt.Errorf("this stand-in knows no flag %q", flag)
		}
	}
	token, err := createToken(body)
	if err == nil {
		_, err = io.WriteString(os.Stdout, token)
	}
	return err
}

func createToken(body any) (string, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return "", err
	}
	pem, err := os.ReadFile(os.Getenv("VAULT_CACERT"))
	if err != nil {
		return "", err
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(pem) {
		return "", errors.New("VAULT_CACERT names no certificates")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, os.Getenv("VAULT_ADDR")+"/v1/auth/token/create", bytes.NewReader(text))
	if err != nil {
		return "", err
	}
	request.Header.Set("X-Vault-Token", os.Getenv("VAULT_TOKEN"))
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authorities}}}
	answer, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	var created struct {
		Auth struct {
			Token string `json:"client_token"`
		} `json:"auth"`
		Errors []string `json:"errors"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&created); err != nil {
		return "", err
	}
	if created.Auth.Token == "" {
		return "", fmt.Errorf("%s: %s", answer.Status, strings.Join(created.Errors, ", "))
	}
	return created.Auth.Token, nil
}
