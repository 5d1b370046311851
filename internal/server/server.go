// Package server listens, finds the door of a host name and keeps everything away from it that no door should have to
// think about: connections that cannot be trusted, headers that lie about who is calling, panics, and the end of the process.
//
// The rules:
//
//   - TLS 1.2 with forward secrecy and authenticated encryption, or TLS 1.3 (SEC N-1).
//   - The host of a request must be the one its connection was opened for, and one of ours; otherwise 421.
//   - Who is calling is read in one place (edge.go).
//   - Nothing secret reaches the log: not the path, not the query, not a header.
//   - On the way out the server first says that it is not ready, then finishes what has begun, for ten seconds at most (SEC D-7).
package server

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of a connection (SEC N-4).
const (
	headerTimeout = 10 * time.Second
	readTimeout   = 60 * time.Second
	writeTimeout  = 60 * time.Second
	idleTimeout   = 2 * time.Minute
	headerBytes   = 32 << 10
	h2Streams     = 100
	drainTimeout  = 10 * time.Second
)

// A Door answers for host names.
type Door struct {
	Name    string                     // in metrics and the log
	Serves  func(host string) bool     // host is lower case, without port; asked at every request, must answer from memory
	Pattern func(*http.Request) string // the route a request takes, for the log; may be nil
	Handler http.Handler

	// AsksCertificate asks whoever connects to one of its hosts for a client certificate. Nothing is believed of it but that
	// its holder has the key: it stands, unverified, in Request.TLS.PeerCertificates, empty where none was shown. At every
	// other door that is always empty.
	AsksCertificate bool

	// Issuers are the CAs that are named when a certificate is asked for at one of its hosts, so that a browser offers its
	// person only what these issued and shows nobody else a list (REQ A20). Where it finds none, nothing is asked. A door
	// without it names no CA and always asks. It must answer from memory.
	Issuers func(host string) *x509.CertPool

	// Asked reports whether a request is a proxy's question about another request. Told hands on what a configured proxy
	// says about that one; it is not called for anybody else. Both may be nil, for a door that nobody asks.
	Asked func(*http.Request) bool
	Told  func(*http.Request, Original) *http.Request
}

// Config is what a Server is made of. All but Certificates (with Settings.Plain), Ready and Metrics are needed.
type Config struct {
	Settings     Settings
	Certificates *Certificates
	Clock        func() time.Time
	Log          *slog.Logger
	Ready        []Check
	Metrics      *Metrics // nil makes new ones
}

// Server is made once and serves once.
type Server struct {
	Config
	pages, operations     *http.Server
	pagesAt, operationsAt net.Listener
	draining              atomic.Bool
	endStreams            context.CancelFunc
}

// New makes a Server. The first door that serves a host gets its requests.
func New(c Config, doors ...Door) (*Server, error) {
	edge, err := c.Settings.edge()
	if err != nil {
		return nil, err
	}
	if c.Certificates == nil && !c.Settings.Plain {
		return nil, errors.New("server: no certificates")
	}
	if c.Metrics == nil {
		c.Metrics = NewMetrics()
	}
	s := &Server{Config: c}
	streams, end := context.WithCancel(context.Background())
	s.endStreams = end
	f := &front{c: c, edge: edge, draining: streams}
	for _, d := range doors {
		in := &door{Door: d, seconds: c.Metrics.seconds.WithLabelValues(d.Name)}
		for class := range in.requests {
			in.requests[class] = c.Metrics.requests.WithLabelValues(d.Name, strconv.Itoa(class)+"xx")
		}
		f.doors = append(f.doors, in)
	}
	s.pages = s.httpServer(f)
	s.pages.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: h2Streams}
	if !c.Settings.Plain {
		s.pages.TLSConfig = tlsConfig(c.Certificates, f.asks)
	}
	s.operations = s.httpServer(s.operationsMux())
	return s, nil
}

func (s *Server) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: headerBytes, ErrorLog: log.New(complaints{s.Log}, "", 0),
	}
}

// complaints takes what net/http says about connections. Browsers give up handshakes all day; it is for debugging only.
type complaints struct{ log *slog.Logger }

func (c complaints) Write(p []byte) (int, error) {
	c.log.Debug("connection", slog.String("said", strings.TrimSpace(string(p))))
	return len(p), nil
}

// Listen opens the sockets, so that the addresses are known and a port that is taken is seen at once.
func (s *Server) Listen() error {
	l, err := net.Listen("tcp", s.Settings.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", s.Settings.Listen, err)
	}
	return s.ListenOn(l)
}

// ListenOn is Listen with a socket for the pages that is open already. When it fails the socket is closed.
func (s *Server) ListenOn(pages net.Listener) (err error) {
	s.pagesAt = pages
	if s.Settings.Operations == "" {
		return nil
	}
	if s.operationsAt, err = net.Listen("tcp", s.Settings.Operations); err != nil {
		return errors.Join(fmt.Errorf("listen on %s: %w", s.Settings.Operations, err), s.pagesAt.Close())
	}
	return nil
}

// Addr is where the pages are, after Listen.
func (s *Server) Addr() net.Addr { return s.pagesAt.Addr() }

// OperationsAddr is where the operations listener is, nil when there is none.
func (s *Server) OperationsAddr() net.Addr {
	if s.operationsAt == nil {
		return nil
	}
	return s.operationsAt.Addr()
}

// Serve answers until ctx is done, then drains. It returns nil after an orderly end.
func (s *Server) Serve(ctx context.Context) error {
	defer s.endStreams()
	failed := make(chan error, 2)
	var running sync.WaitGroup
	running.Go(func() {
		if s.Settings.Plain {
			failed <- s.pages.Serve(s.pagesAt)
		} else {
			failed <- s.pages.ServeTLS(s.pagesAt, "", "")
		}
	})
	if s.operationsAt != nil {
		running.Go(func() { failed <- s.operations.Serve(s.operationsAt) })
	}
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	s.draining.Store(true)
	s.endStreams()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if drain := s.pages.Shutdown(end); drain != nil {
		s.Log.Warn("requests were cut off", slog.String("after", drainTimeout.String()))
		err = errors.Join(err, s.pages.Close())
	}
	err = errors.Join(err, s.operations.Close())
	running.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
