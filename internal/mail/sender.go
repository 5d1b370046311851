package mail

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// Sender hands a mail to the next hop. It returns nil only when the next hop has taken responsibility for it. A *Refused
// says what the next hop answered; any other error is worth a retry.
type Sender interface {
	Send(ctx context.Context, c Composed) error
}

// Refused is an answer of the next hop. Stage says to what: "connect", "tls", "auth", "from", "to", "data".
type Refused struct {
	Stage string
	Code  int // of RFC 5321; 0 when there was none
	Text  string
}

func (e *Refused) Error() string {
	if e.Code == 0 {
		return fmt.Sprintf("mail server, %s: %s", e.Stage, e.Text)
	}
	return fmt.Sprintf("mail server, %s: %d %s", e.Stage, e.Code, e.Text)
}

// Permanent reports whether the same mail will be refused again. Only answers about this mail count (its address, its
// content): a wrong password of ours or a refused sender is mended by the operator, and no mail is lost over it. A full
// mailbox (552) empties.
func (e *Refused) Permanent() bool {
	return (e.Stage == "to" || e.Stage == "data") && e.Code >= 500 && e.Code < 600 && e.Code != 552
}

// Bounced reports whether the address is the reason.
func (e *Refused) Bounced() bool { return e.Stage == "to" && e.Permanent() }

// General reports whether every other mail would have met the same, so that a batch can stop at once.
func (e *Refused) General() bool { return e.Stage != "to" && e.Stage != "data" }

// Directory writes each mail as a file instead of sending it: NNNNNNNNNN-TEMPLATE-ID.eml, complete when visible, in
// the order of the names. The same message is written once. One process writes to a directory at a time (delivery is
// leased); with two, numbers may meet, and names still differ.
type Directory struct {
	Path string

	mu   sync.Mutex
	next int
}

// Send implements Sender. Files and directory are the owner's alone: they hold links that open accounts.
func (d *Directory) Send(_ context.Context, c Composed) (err error) {
	if strings.ContainsAny(c.ID+c.Template, "/\\. ") {
		return fmt.Errorf("mail %q: no name for a file", c.ID)
	}
	data, err := c.Bytes()
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := os.MkdirAll(d.Path, 0o700); err != nil {
		return fmt.Errorf("mail directory: %w", err)
	}
	tail := "-" + c.Template + "-" + c.ID + ".eml"
	there, err := d.look(tail)
	if err != nil || there {
		return err
	}
	f, err := os.CreateTemp(d.Path, ".new-*")
	if err != nil {
		return fmt.Errorf("mail directory: %w", err)
	}
	defer func() {
		if e := os.Remove(f.Name()); err == nil && e != nil {
			err = fmt.Errorf("mail directory: %w", e)
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Link(f.Name(), filepath.Join(d.Path, fmt.Sprintf("%010d", d.next)+tail))
		d.next++
	}
	if err != nil {
		return fmt.Errorf("mail directory: %w", err)
	}
	return nil
}

// look finds the next number and whether the message is there already: a worker that died after writing comes again.
func (d *Directory) look(tail string) (there bool, err error) {
	entries, err := os.ReadDir(d.Path)
	if err != nil {
		return false, fmt.Errorf("mail directory: %w", err)
	}
	for _, e := range entries {
		var n int
		if _, err := fmt.Sscanf(e.Name(), "%010d-", &n); err != nil || !strings.HasSuffix(e.Name(), ".eml") {
			continue
		}
		there = there || strings.HasSuffix(e.Name(), tail)
		d.next = max(d.next, n+1)
	}
	return there, nil
}
