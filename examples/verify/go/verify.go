// Verifies access tokens of Ticketgate with nothing but Go's standard library, for ES256:
// `go run . < tokens`. Prints `accept SUB SID`, `refuse REASON` or `unavailable` for each line.
package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math/big"
	"os"
	"strings"
	"time"
)

const clockSkew = 30 * time.Second

var (
	issuer   = os.Getenv("ISSUER")
	audience = env("AUDIENCE", issuer)
	keys     = newKeySet(env("JWKS_URL", issuer+"/.well-known/jwks.json"))
	revoked  = newRevocations(os.Getenv("REVOCATIONS_URL"), os.Getenv("SERVICE_API_KEY"))

	// errUnavailable: no key set was ever fetched. Answer 503, not 401: the token was not judged.
	errUnavailable = errors.New("unavailable")
)

type header struct{ Alg, Kid, Typ string }

type claims struct {
	Iss, Aud, Sub, Sid string
	Exp, Iat           int64
}

// verify returns the claims of a good access token. Any other error than errUnavailable is a 401;
// its text is for your log, not for the client.
func verify(token string) (*claims, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errors.New("form")
	}
	var head header
	if err := decode(parts[0], &head); err != nil {
		return nil, err
	}
	key, err := keys.find(head.Kid)
	if err != nil {
		return nil, err
	}
	if head.Alg != "ES256" || head.Typ != "at+jwt" || key == nil {
		return nil, errors.New("alg, typ or kid")
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if err != nil || len(signature) != 64 {
		return nil, errors.New("form of the signature")
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	if !ecdsa.Verify(key, digest[:], r, s) {
		return nil, errors.New("signature")
	}
	var found claims
	if err := decode(parts[1], &found); err != nil {
		return nil, err
	}
	now := time.Now()
	switch {
	case found.Iss != issuer || found.Aud != audience:
		return nil, errors.New("iss or aud")
	case found.Sub == "" || found.Sid == "":
		return nil, errors.New("sub or sid")
	case found.Exp <= now.Unix(): // without leeway: the revocation feed forgets the session then
		return nil, errors.New("exp")
	case found.Iat == 0 || found.Iat > now.Add(clockSkew).Unix():
		return nil, errors.New("iat")
	case revoked.contains(found.Sid):
		return nil, errors.New("revoked")
	}
	return &found, nil
}

func decode(part string, into any) error {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

func publicKey(x, y string) (*ecdsa.PublicKey, error) {
	point := make([]*big.Int, 2)
	for i, text := range []string{x, y} {
		bytes, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			return nil, err
		}
		point[i] = new(big.Int).SetBytes(bytes)
	}
	key := &ecdsa.PublicKey{Curve: elliptic.P256(), X: point[0], Y: point[1]}
	if _, err := key.ECDH(); err != nil { // the point is not on the curve
		return nil, err
	}
	return key, nil
}

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func main() {
	tokens := bufio.NewScanner(os.Stdin)
	for tokens.Scan() {
		switch found, err := verify(tokens.Text()); {
		case errors.Is(err, errUnavailable):
			fmt.Println("unavailable")
		case err != nil:
			fmt.Println("refuse", err)
		default:
			fmt.Println("accept", found.Sub, found.Sid)
		}
	}
	if err := tokens.Err(); err != nil {
		log.Fatal(err)
	}
}
