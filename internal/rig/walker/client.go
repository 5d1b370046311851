package walker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"
)

// Client is one person's browser: its cookies, its language, and where it is.
type Client struct {
	HTTP     *http.Client
	Language string // Accept-Language, empty for none
	Agent    string // User-Agent, empty for a plain one
	Header   http.Header
}

// New makes a browser that trusts roots and finds every host name on loopback, as browsers do with *.localhost. Through
// addr, every connection goes to one address, whatever the host; empty leaves the port of the address asked for.
func New(roots *x509.CertPool, addr string) *Client {
	jar, err := cookiejar.New(nil)
	if err != nil { // documented never to happen without a public suffix list
		panic(err)
	}
	dial := func(ctx context.Context, network, asked string) (net.Conn, error) {
		to := addr
		if to == "" {
			_, port, err := net.SplitHostPort(asked)
			if err != nil {
				return nil, err
			}
			to = net.JoinHostPort("127.0.0.1", port)
		}
		var d net.Dialer
		return d.DialContext(ctx, network, to)
	}
	return &Client{HTTP: &http.Client{
		Jar:     jar,
		Timeout: time.Minute,
		Transport: &http.Transport{
			DialContext: dial, ForceAttemptHTTP2: true,
			TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		},
	}, Header: http.Header{}}
}

// Get opens an address and follows redirects.
func (c *Client) Get(address string) (*Page, error) {
	req, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	return c.do(req)
}

// Submit sends the form as its first button would, or the one that Press chose.
func (c *Client) Submit(f *Form) (*Page, error) {
	if f.Method == http.MethodGet {
		u, err := url.Parse(f.Action)
		if err != nil {
			return nil, err
		}
		u.RawQuery = f.Values.Encode()
		return c.Get(u.String())
	}
	req, err := http.NewRequest(http.MethodPost, f.Action, strings.NewReader(f.Values.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if f.page != nil {
		// What browsers send with a form of the same site.
		req.Header.Set("Origin", f.page.URL.Scheme+"://"+f.page.URL.Host)
		req.Header.Set("Sec-Fetch-Site", "same-origin")
		if u, err := url.Parse(f.Action); err == nil && u.Host != f.page.URL.Host {
			req.Header.Set("Sec-Fetch-Site", "cross-site")
		}
	}
	return c.do(req)
}

func (c *Client) do(req *http.Request) (*Page, error) {
	for k, v := range c.Header {
		req.Header[k] = v
	}
	if c.Language != "" {
		req.Header.Set("Accept-Language", c.Language)
	}
	agent := c.Agent
	if agent == "" {
		agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	}
	req.Header.Set("User-Agent", agent)
	req.Header.Set("Accept", "text/html,application/xhtml+xml")
	res, err := c.HTTP.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", req.URL, err)
	}
	return parse(res.Request.URL, res.StatusCode, res.Header, body)
}
