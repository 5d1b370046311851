package sqlstore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"math/big"
	"net/netip"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"doorward/internal/fault"
)

// Rules of PostgreSQL here: read committed, because every rule that must hold between transactions is held by a unique
// index or by a condition in the statement that writes. A transaction that PostgreSQL undoes (serialization, deadlock)
// runs again. Connections go to the machine that takes writes, so they follow a failover. Idle ones are kept: opening
// one costs a hundred times a statement.

const (
	postgresTries = 10
	connectWait   = 5 * time.Second
)

func (s *Store) openPostgres(ctx context.Context, dsn string, o Options) error {
	config, err := postgresConfig(dsn)
	if err != nil {
		return err
	}
	config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectWait
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "doorward"
	}
	// A commit that is answered is on the disk, whatever the server's default.
	if config.RuntimeParams["synchronous_commit"] == "" {
		config.RuntimeParams["synchronous_commit"] = "on"
	}
	s.postgres = config
	s.db = stdlib.OpenDB(*config)
	if o.Conns <= 0 {
		o.Conns = max(8, 4*runtime.GOMAXPROCS(0))
	}
	s.db.SetMaxOpenConns(o.Conns)
	s.db.SetMaxIdleConns(o.Conns)
	var encoding string
	if err := s.db.QueryRowContext(ctx, `SHOW server_encoding`).Scan(&encoding); err != nil {
		return s.explain(err)
	}
	if encoding != "UTF8" {
		return fault.New(fault.Invalid, "store-encoding", "encoding", encoding)
	}
	return nil
}

// postgresConfig reads an address. Over a network the connection is encrypted and the server's certificate verified
// unless the address says otherwise, and it never falls back to plain text: somebody in between would only have to say
// that the server knows no TLS.
func postgresConfig(dsn string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fault.New(fault.Invalid, "store-address").Because(err) // pgx takes the password out of its errors
	}
	hosts := []string{config.Host}
	for _, f := range config.Fallbacks {
		hosts = append(hosts, f.Host)
	}
	if !slices.ContainsFunc(hosts, remote) {
		return config, nil
	}
	path, query, _ := strings.Cut(dsn, "?")
	q, err := url.ParseQuery(query)
	if err != nil {
		return nil, fault.New(fault.Invalid, "store-address")
	}
	switch q.Get("sslmode") {
	case "allow", "prefer":
		return nil, fault.New(fault.Invalid, "store-tls")
	case "":
		q.Set("sslmode", "verify-full")
		if config, err = pgx.ParseConfig(path + "?" + q.Encode()); err != nil {
			return nil, fault.New(fault.Invalid, "store-address").Because(err)
		}
	}
	return config, nil
}

// remote reports whether a host is reached over a network.
func remote(host string) bool {
	ip, err := netip.ParseAddr(host)
	local := host == "localhost" || strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || err == nil && ip.IsLoopback()
	return !local
}

// warm opens the connections of the pool, so that the first storm after a start does not wait for them.
func (s *Store) warm(ctx context.Context) {
	var conns []*sql.Conn
	for range s.db.Stats().MaxOpenConnections {
		conn, err := s.db.Conn(ctx)
		if err != nil {
			break // a server that takes no more is no reason not to start
		}
		conns = append(conns, conn)
	}
	for _, conn := range conns {
		conn.Close()
	}
}

// readPostgres runs statements by themselves: at read committed a transaction around them would show nothing else and
// cost two round trips.
func readPostgres(ctx context.Context, s *Store, fn func(*Tx) error) error {
	t := &Tx{store: s, ctx: ctx, run: ctx, runner: s.db}
	defer func() { t.over = true }()
	err := fn(t)
	if err == nil {
		err = t.doomed
	}
	return err
}

func writePostgres(ctx context.Context, s *Store, fn func(*Tx) error) error {
	for try := 1; ; try++ {
		t, err := s.tryPostgres(ctx, fn)
		if err == nil {
			s.committed(t)
			return nil
		}
		if try == postgresTries || t == nil || !t.again {
			return err
		}
		if err := pause(ctx, try); err != nil {
			return err
		}
	}
}

// pause waits a little longer after each try, and not the same for everybody, so that those who met do not meet again.
func pause(ctx context.Context, try int) error {
	most := time.Millisecond << min(try, 7)
	n, err := rand.Int(rand.Reader, big.NewInt(int64(most)))
	if err != nil {
		return err
	}
	timer := time.NewTimer(time.Duration(n.Int64()))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tryPostgres runs fn once. The returned Tx says whether to try again; it is nil when nothing was begun.
func (s *Store) tryPostgres(ctx context.Context, fn func(*Tx) error) (t *Tx, err error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return nil, s.explain(err)
	}
	defer conn.Close()
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return nil, s.explain(err)
	}
	t = &Tx{store: s, ctx: ctx, run: ctx, runner: tx, write: true}
	committed := false
	defer func() { // also when fn panics or ends the goroutine
		t.over = true
		if !committed {
			_ = tx.Rollback() // a connection that cannot is closed by the driver
		}
		if t.moved {
			_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		}
	}()
	if err = fn(t); err == nil {
		err = t.finish()
	}
	if err != nil {
		return t, err
	}
	if err = tx.Commit(); err != nil {
		return t, t.fail(err)
	}
	committed = true
	return t, nil
}

// note looks at an error of a statement: whether the transaction may run again, and whether its connection leads to a
// machine that takes no writes any more.
func (t *Tx) note(err error) {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return
	}
	t.moved = e.Code == "25006"
	t.again = t.moved || causeOfState(e.Code) == again
}
