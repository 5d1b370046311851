package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// client keeps connections open and finds every host on one loopback address.
func client(pool *x509.CertPool, address string) *http.Client {
	return &http.Client{
		Timeout: time.Minute,
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 64,
			TLSClientConfig:     &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}},
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, network, address)
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// send makes one request, reads the answer to its end and checks the status.
func send(c *http.Client, req *http.Request, want int) error {
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != want {
		return fmt.Errorf("%s %s: status %d, want %d", req.Method, req.URL.Path, res.StatusCode, want)
	}
	return nil
}

// perRequest drives n requests from callers at once and returns the server's CPU time for one. The first tenth warms up.
func perRequest(p *process, n, callers int, one func(i int) error) (time.Duration, error) {
	if err := drive(max(n/10, callers), callers, one); err != nil {
		return 0, err
	}
	before, err := p.cpu()
	if err != nil {
		return 0, err
	}
	if err := drive(n, callers, one); err != nil {
		return 0, err
	}
	after, err := p.cpu()
	return (after - before) / time.Duration(n), err
}

// drive calls one for 0 to n-1 from callers goroutines and returns the first error.
func drive(n, callers int, one func(i int) error) error {
	var next atomic.Int64
	var first error
	var once sync.Once
	var wait sync.WaitGroup
	for range callers {
		wait.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := one(i); err != nil {
					once.Do(func() { first = err })
					return
				}
			}
		})
	}
	wait.Wait()
	return first
}

// median of what five rounds say.
func median[T int | float64 | time.Duration](all []T) T {
	s := slices.Clone(all)
	slices.Sort(s)
	return s[len(s)/2]
}

// quantile q of durations.
func quantile(all []time.Duration, q float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	s := slices.Clone(all)
	slices.Sort(s)
	return s[min(int(q*float64(len(s))), len(s)-1)]
}
