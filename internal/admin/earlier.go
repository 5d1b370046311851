package admin

import (
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/helpdesk"
	"doorward/internal/login"
)

// earlierMost is how many requests a person's page tells about.
const earlierMost = 10

// Past is a request that helps nobody any more, or never did. What whoever asked typed is left out.
type Past struct {
	helpdesk.Request
	EndedBy string // name of who ended it; empty where the time did, and for who is gone
}

// earlier are the last requests about somebody but the one that helps them now. Nobody reads about themselves here: their
// own page tells them.
func earlier(tx PeopleTx, by login.By, p directory.Person, live string) (out []Past, err error) {
	if p.ID == by.Person.ID {
		return nil, nil
	}
	found, err := tx.HelpRequestsOf(p.Realm, p.ID, earlierMost+1)
	if err != nil {
		return nil, err
	}
	for _, r := range found {
		if r.ID == live || len(out) == earlierMost {
			continue
		}
		past := Past{Request: r}
		if past.EndedBy, err = nameOf(tx, r.Realm, r.ClosedBy); err != nil {
			return nil, err
		}
		past.Address, past.Words, past.Checks = "", "", nil
		out = append(out, past)
	}
	return out, nil
}

// nameOf is how somebody is called now, empty for nobody and for who is gone.
func nameOf(tx PeopleTx, realm, id string) (string, error) {
	if id == "" {
		return "", nil
	}
	p, err := tx.Person(realm, id)
	if fault.Of(err, fault.NotFound) {
		return "", nil
	}
	return p.Name, err
}
