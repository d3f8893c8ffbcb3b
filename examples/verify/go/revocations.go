package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// revocations polls the feed of sessions that ended before their access tokens expire. While the
// feed cannot be reached, what is known stays in force.
type revocations struct {
	url, serviceKey, cursor string
	mutex                   sync.RWMutex
	expires                 map[string]int64
}

// newRevocations returns when all that has ended so far is known. Without a URL it knows nothing.
func newRevocations(url, serviceKey string) *revocations {
	known := &revocations{url: url, serviceKey: serviceKey, expires: map[string]int64{}}
	if url != "" {
		pause := known.poll()
		for pause == 0 {
			pause = known.poll()
		}
		go func() {
			for {
				time.Sleep(pause)
				pause = known.poll()
			}
		}()
	}
	return known
}

func (known *revocations) contains(sessionID string) bool {
	known.mutex.RLock()
	defer known.mutex.RUnlock()
	_, found := known.expires[sessionID]
	return found
}

// poll asks once and returns the time until the next poll: 0 if there is more already.
func (known *revocations) poll() time.Duration {
	var page struct {
		Events []struct {
			Sid       string
			ExpiresAt int64 `json:"expires_at"`
		}
		Cursor    string
		PollAfter float64 `json:"poll_after"`
	}
	if err := known.get(&page); err != nil {
		log.Print("the revocation feed cannot be followed: ", err)
		return time.Second
	}
	known.mutex.Lock()
	defer known.mutex.Unlock()
	known.cursor = page.Cursor
	for _, event := range page.Events {
		known.expires[event.Sid] = event.ExpiresAt
	}
	for sessionID, expiresAt := range known.expires {
		if expiresAt <= time.Now().Unix() { // none of its access tokens is valid any more
			delete(known.expires, sessionID)
		}
	}
	return time.Duration(page.PollAfter * float64(time.Second))
}

func (known *revocations) get(into any) error {
	query := url.Values{}
	if known.cursor != "" {
		query.Set("after", known.cursor)
	}
	request, err := http.NewRequest(http.MethodGet, known.url+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+known.serviceKey)
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	return json.NewDecoder(response.Body).Decode(into)
}
