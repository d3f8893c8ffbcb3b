package main

import (
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"time"
)

// cooldown is the time between two attempts after a failure, and between two because of an unknown
// kid.
const cooldown = 10 * time.Second

var (
	client = &http.Client{Timeout: 2 * time.Second}
	maxAge = regexp.MustCompile(`max-age=(\d+)`)
)

// keySet holds the public keys of Ticketgate for as long as Cache-Control allows. A fetch that fails
// keeps the old keys.
type keySet struct {
	url                   string
	mutex                 sync.Mutex
	keys                  map[string]*ecdsa.PublicKey
	staleAt, unknownAfter time.Time
}

func newKeySet(url string) *keySet { return &keySet{url: url} }

// find returns nil for a key that Ticketgate does not publish.
func (set *keySet) find(kid string) (*ecdsa.PublicKey, error) {
	set.mutex.Lock()
	defer set.mutex.Unlock()
	if time.Now().After(set.staleAt) {
		set.fetch()
	}
	if set.keys[kid] == nil && time.Now().After(set.unknownAfter) {
		set.fetch()
		set.unknownAfter = time.Now().Add(cooldown)
	}
	if set.keys == nil {
		return nil, errUnavailable
	}
	return set.keys[kid], nil
}

func (set *keySet) fetch() {
	fetched, fresh, err := fetchKeys(set.url)
	if err != nil {
		log.Print("the JWKS cannot be fetched: ", err)
		set.staleAt = time.Now().Add(cooldown)
		return
	}
	set.keys, set.staleAt = fetched, time.Now().Add(fresh)
}

func fetchKeys(url string) (map[string]*ecdsa.PublicKey, time.Duration, error) {
	response, err := client.Get(url)
	if err != nil {
		return nil, 0, err
	}
	defer response.Body.Close()
	var document struct {
		Keys []struct{ Alg, Kid, X, Y string }
	}
	if err := json.NewDecoder(response.Body).Decode(&document); err != nil {
		return nil, 0, err
	}
	keys := map[string]*ecdsa.PublicKey{}
	for _, jwk := range document.Keys {
		if jwk.Alg != "ES256" {
			continue
		}
		if keys[jwk.Kid], err = publicKey(jwk.X, jwk.Y); err != nil {
			return nil, 0, err
		}
	}
	if response.StatusCode != http.StatusOK || len(keys) == 0 {
		return nil, 0, fmt.Errorf("status %d, %d keys", response.StatusCode, len(keys))
	}
	fresh := cooldown
	if found := maxAge.FindStringSubmatch(response.Header.Get("Cache-Control")); found != nil {
		seconds, _ := strconv.Atoi(found[1])
		fresh = time.Duration(seconds) * time.Second
	}
	return keys, fresh, nil
}
