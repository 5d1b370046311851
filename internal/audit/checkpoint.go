package audit

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A checkpoint is a signed note (golang.org/x/mod/sumdb/note) in the form of C2SP tlog-checkpoint, so that other tools
// read it:
//
//	doorward-audit
//	SIZE
//	ROOT in base64
//	time RFC 3339 in UTC
//
// The time is signed too: an event that claims to be older than a checkpoint before it was put there later.
const (
	origin     = "doorward-audit"
	timeFormat = "2006-01-02T15:04:05.000Z"
)

type signer struct {
	note.Verifier
	key ed25519.PrivateKey
}

func (s signer) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }

// NewSigner makes the signer of checkpoints from a key of the ring (secret.Ring.Signer).
func NewSigner(key ed25519.PrivateKey) (note.Signer, error) {
	vkey, err := VerifierKey(key.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, err
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, fmt.Errorf("audit signer: %w", err)
	}
	return signer{v, key}, nil
}

// VerifierKey is the public key in the form that note.NewVerifier reads. Who keeps it elsewhere can verify without
// trusting this machine.
func VerifierKey(key ed25519.PublicKey) (string, error) {
	vkey, err := note.NewEd25519VerifierKey(origin, key)
	if err != nil {
		return "", fmt.Errorf("audit verifier key: %w", err)
	}
	return vkey, nil
}

// sign makes the checkpoint of a tree.
func sign(s note.Signer, size int64, root tlog.Hash, at time.Time) (Checkpoint, error) {
	at = at.UTC().Truncate(time.Millisecond)
	msg, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\ntime %s\n", origin, size, root, at.Format(timeFormat))}, s)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("sign a checkpoint: %w", err)
	}
	return Checkpoint{Size: size, Root: root, Note: string(msg), At: at}, nil
}

// ReadCheckpoint opens a signed note and fails when it is not signed by v or is no checkpoint.
func ReadCheckpoint(signed string, v note.Verifier) (Checkpoint, error) {
	n, err := note.Open([]byte(signed), note.VerifierList(v))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w", err)
	}
	c, err := readText(n.Text)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w", err)
	}
	c.Note = signed
	return c, nil
}

func readText(s string) (c Checkpoint, err error) {
	l := strings.Split(s, "\n")
	if len(l) != 5 || l[0] != origin || l[4] != "" {
		return c, fmt.Errorf("it has another form")
	}
	if c.Size, err = strconv.ParseInt(l[1], 10, 64); err != nil || c.Size < 0 || strconv.FormatInt(c.Size, 10) != l[1] {
		return c, fmt.Errorf("it has no size")
	}
	root, err := base64.StdEncoding.Strict().DecodeString(l[2])
	if err != nil || len(root) != tlog.HashSize {
		return c, fmt.Errorf("it has no root")
	}
	copy(c.Root[:], root)
	if c.At, err = time.Parse("time "+timeFormat, l[3]); err != nil {
		return c, fmt.Errorf("it has no time")
	}
	return c, nil
}
