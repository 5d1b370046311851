package main

import (
	"database/sql"

	_ "modernc.org/sqlite"
)

// group is the least group commit: whoever waits while a transaction is written shares the next one.
type group struct {
	db    *sql.DB
	ready map[string]*sql.Stmt
	queue chan work
}

type work struct {
	do   func(*group, *sql.Tx) error
	done chan error
}

const (
	insertEvent  = "INSERT INTO event (text) VALUES ($1)"
	insertSecret = "INSERT INTO secret (hash, used) VALUES ($1, 0)"
	useSecret    = "UPDATE secret SET used = 1 WHERE hash = $1 AND used = 0 RETURNING 1"
)

func openGroup(path string) (*group, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(wal)&_pragma=synchronous(full)&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	for _, table := range []string{
		"CREATE TABLE IF NOT EXISTS event (id INTEGER PRIMARY KEY, text TEXT NOT NULL)",
		"CREATE TABLE IF NOT EXISTS secret (hash BLOB NOT NULL PRIMARY KEY, used INTEGER NOT NULL) WITHOUT ROWID",
	} {
		if _, err := db.Exec(table); err != nil {
			return nil, err
		}
	}
	g := &group{db, map[string]*sql.Stmt{}, make(chan work, 256)}
	for _, text := range []string{insertEvent, insertSecret, useSecret} {
		if g.ready[text], err = db.Prepare(text); err != nil {
			return nil, err
		}
	}
	go g.write()
	return g, nil
}

// exec runs one prepared statement and returns after it is durable.
func (g *group) exec(text string, args ...any) error {
	return g.do(func(g *group, tx *sql.Tx) error {
		_, err := tx.Stmt(g.ready[text]).Exec(args...)
		return err
	})
}

// do runs statements and returns after they are durable.
func (g *group) do(fn func(*group, *sql.Tx) error) error {
	w := work{fn, make(chan error, 1)}
	g.queue <- w
	return <-w.done
}

func (g *group) write() {
	for first := range g.queue {
		batch := []work{first}
		for len(batch) < 256 && len(g.queue) > 0 {
			batch = append(batch, <-g.queue)
		}
		err := g.commit(batch)
		for _, w := range batch {
			w.done <- err
		}
	}
}

func (g *group) commit(batch []work) error {
	tx, err := g.db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, w := range batch {
		if err := w.do(g, tx); err != nil {
			return err
		}
	}
	return tx.Commit()
}
