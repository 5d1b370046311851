package certhost

import (
	"context"
	"crypto/x509"
	"log/slog"
	"sync"
	"time"

	"doorward/internal/pki"
)

// IssuersTx is what Issuers read.
type IssuersTx interface {
	Authorities(realm string) ([]pki.Authority, error)
}

// IssuersStore begins reading transactions.
type IssuersStore interface {
	Read(context.Context, func(IssuersTx) error) error
}

// Issuers know which CAs a realm names when it asks browsers for a certificate, so that people who have none of ours see
// no list (REQ A20). They name and judge nothing: what is shown is checked against the database. Answers are kept until
// the epoch rises; when the database is away, what was known before stays.
type Issuers struct {
	Store IssuersStore
	Epoch func() int64
	Clock func() time.Time
	Log   *slog.Logger

	mu    sync.Mutex
	epoch int64
	pools map[string]*x509.CertPool
}

// readTime bounds how long a handshake waits for the database.
const readTime = 2 * time.Second

// Pool are the realm's CAs whose certificates count, nil while there are none.
func (i *Issuers) Pool(realm string) *x509.CertPool {
	i.mu.Lock()
	defer i.mu.Unlock()
	epoch := i.Epoch()
	have, known := i.pools[realm]
	if known && epoch == i.epoch {
		return have
	}
	pool, err := i.read(realm)
	if err != nil {
		i.Log.Error("the realm's certificate authorities could not be read; those before stay", slog.String("realm", realm), slog.String("error", err.Error()))
		return have
	}
	if epoch != i.epoch || i.pools == nil {
		i.epoch, i.pools = epoch, map[string]*x509.CertPool{}
	}
	i.pools[realm] = pool
	return pool
}

func (i *Issuers) read(realm string) (pool *x509.CertPool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), readTime)
	defer cancel()
	err = i.Store.Read(ctx, func(tx IssuersTx) error {
		pool = nil
		all, err := tx.Authorities(realm)
		if err != nil {
			return err
		}
		for _, a := range all {
			if a.Class != pki.Issuing || !a.Trusted(i.Clock()) {
				continue
			}
			ca, err := x509.ParseCertificate(a.DER)
			if err != nil {
				return err
			}
			if pool == nil {
				pool = x509.NewCertPool()
			}
			pool.AddCert(ca)
		}
		return nil
	})
	return pool, err
}
