package main

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"doorward/internal/clientkeys"
)

// keysLimit bounds a client's published keys, in bytes.
const keysLimit = 64 << 10

// fetch reads the keys that a client publishes: from the https address of its entry and nowhere else (client follows no
// redirects), JSON, and not more than keysLimit.
func fetch(client *http.Client) clientkeys.Fetch {
	return func(ctx context.Context, uri string) ([]byte, time.Duration, error) {
		if u, err := url.Parse(uri); err != nil || u.Scheme != "https" {
			return nil, 0, fmt.Errorf("%q is not an https address", uri)
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
		if err != nil {
			return nil, 0, err
		}
		req.Header.Set("Accept", "application/jwk-set+json, application/json")
		answer, err := client.Do(req)
		if err != nil {
			return nil, 0, err
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return nil, 0, fmt.Errorf("the answer is %d, not 200; redirects are not followed", answer.StatusCode)
		}
		kind, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
		if err != nil || kind != "application/json" && kind != "application/jwk-set+json" {
			return nil, 0, fmt.Errorf("the answer is not JSON by its Content-Type")
		}
		body, err := io.ReadAll(io.LimitReader(answer.Body, keysLimit+1))
		if err == nil && len(body) > keysLimit {
			err = fmt.Errorf("the answer is larger than %d KiB", keysLimit>>10)
		}
		return body, maxAge(answer.Header.Get("Cache-Control")), err
	}
}

// maxAge reads for how long an answer may be kept (RFC 9111 5.2.2), 0 where it does not say.
func maxAge(header string) time.Duration {
	for _, part := range strings.Split(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if strings.EqualFold(name, "max-age") {
			if n, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil {
				return time.Duration(n) * time.Second
			}
		}
	}
	return 0
}
