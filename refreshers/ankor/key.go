package ankor

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
)

// parsePrivateKey reads an RSA private key in PEM, as PKCS#1 or PKCS#8. Line
// breaks may have become the two characters \n, as in a JSON file that was
// copied by hand. Of several blocks the first private key counts. An error says
// what is wrong and shows nothing of the text.
func parsePrivateKey(text string) (*rsa.PrivateKey, error) {
	text = strings.NewReplacer(`\r`, "", `\n`, "\n").Replace(strings.Trim(text, "\"' \t\r\n"))
	rest := []byte(text)
	for {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			return nil, errors.New("holds no private key in PEM, from BEGIN to END")
		}
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["Proc-Type"] != "":
			return nil, errors.New("is encrypted: store the key without a passphrase")
		case block.Type == "RSA PRIVATE KEY":
			key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
			if err != nil {
				return nil, errors.New("holds a PKCS#1 block that is not an RSA private key")
			}
			return key, nil
		case block.Type == "PRIVATE KEY":
			return parsePKCS8(block.Bytes)
		}
	}
}

func parsePKCS8(der []byte) (*rsa.PrivateKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("holds a PKCS#8 block that is not a private key")
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("is not an RSA key, which RS256 needs")
	}
	return key, nil
}
