package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"doorward/internal/server"
)

type serveCommand struct{}

// Run serves until it is told to end (SIGTERM, interrupt). SIGHUP reads the certificates again.
func (serveCommand) Run(c *call) error { return c.orderly(c.serve()) }

// orderly turns the end that was asked for into success, however early it came.
func (c *call) orderly(err error) error {
	if c.ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (c *call) serve() error {
	g, err := c.open()
	if err != nil {
		return err
	}
	defer g.Close()
	certs, err := g.certificates()
	if err != nil {
		return err
	}
	sender, err := g.sender()
	if err != nil {
		return err
	}
	h, err := build(c.ctx, g, false)
	if err != nil {
		return err
	}
	defer h.Close()
	if certs != nil {
		h.parcels.Signer = certs.Signer
	}
	s, err := server.New(server.Config{
		Settings: g.conf.Server, Certificates: certs, Clock: g.clock, Log: g.log, Ready: h.checks(), Metrics: h.metrics,
	}, h.doors()...)
	if err != nil {
		return err
	}
	if err := s.Listen(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	work, err := h.work(ctx, sender)
	if err != nil {
		return err
	}
	go rest(ctx)
	if certs != nil {
		defer reload(certs, g.log)()
	}
	operations := ""
	if at := s.OperationsAddr(); at != nil {
		operations = at.String()
	}
	g.log.Info("serving", slog.String("listen", s.Addr().String()), slog.String("operations", operations), slog.Int("realms", len(h.cache.All())))
	err = s.Serve(ctx)
	cancel()
	return errors.Join(err, work())
}

// certificates are the server's own; none where a proxy speaks TLS.
func (g *ground) certificates() (*server.Certificates, error) {
	var bad []error
	g.conf.Server.Check(func(key, reason string) { bad = append(bad, errors.New("server."+key+": "+reason)) })
	if len(bad) > 0 {
		return nil, errors.Join(bad...)
	}
	if g.conf.Server.Plain {
		return nil, nil
	}
	return server.LoadCertificates(g.conf.Server.Certificate, g.conf.Server.Key)
}

// reload reads the certificates again at every SIGHUP, until stop is called.
func reload(certs *server.Certificates, log *slog.Logger) (stop func()) {
	hup, end := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(hup, syscall.SIGHUP)
	go func() {
		for {
			select {
			case <-hup:
				if err := certs.Reload(); err != nil {
					log.Error("the certificates could not be read again; those before stay", slog.String("error", err.Error()))
				} else {
					log.Info("certificates read again")
				}
			case <-end:
				return
			}
		}
	}()
	return func() { signal.Stop(hup); close(end) }
}
