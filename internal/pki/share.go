package pki

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"strconv"
	"strings"
)

// Rules of a root's key in several hands: every share but the last is random, the last is the key XORed with all of them. All
// are needed, in any order; whoever has all but one knows nothing about the key. A share names the root it belongs to and
// carries a checksum, so that a mistake of the hand is told before anything is signed.

const (
	keyBlock   = "PRIVATE KEY"
	shareBlock = "DOORWARD ROOT KEY SHARE"
	// SharesMost is how many hands a key can be put into.
	SharesMost = 9
)

// Split puts a private key, in PKCS #8, into n files of PEM; one of them is the key itself. root is the root's certificate.
func Split(key, root []byte, n int) ([][]byte, error) {
	if n < 1 || n > SharesMost {
		return nil, errors.New("a key is put into 1 to " + strconv.Itoa(SharesMost) + " hands")
	}
	if n == 1 {
		return [][]byte{PEM(keyBlock, key)}, nil
	}
	last := bytes.Clone(key)
	out := make([][]byte, n)
	for i := range n {
		part := last
		if i < n-1 {
			part = make([]byte, len(key))
			rand.Read(part) // never fails
			subtle.XORBytes(last, last, part)
		}
		sum := sha256.Sum256(part)
		out[i] = pem.EncodeToMemory(&pem.Block{Type: shareBlock, Bytes: part, Headers: map[string]string{
			"Root": Hash(root), "Share": strconv.Itoa(i+1) + " of " + strconv.Itoa(n), "Checksum": hex.EncodeToString(sum[:8]),
		}})
	}
	return out, nil
}

// Join puts a root's key together from its files. The error says what is missing, and quotes nothing of a key.
func Join(files [][]byte, root []byte) ([]byte, error) {
	var key []byte
	seen := map[string]bool{}
	of := 1
	for _, f := range files {
		b, _ := pem.Decode(f)
		switch {
		case b != nil && b.Type == keyBlock && len(files) == 1:
			return b.Bytes, nil
		case b == nil || b.Type != shareBlock:
			return nil, errors.New("a file holds neither a private key nor a share of one")
		}
		number, total, _ := strings.Cut(b.Headers["Share"], " of ")
		n, err := strconv.Atoi(total)
		sum := sha256.Sum256(b.Bytes)
		switch {
		case err != nil || b.Headers["Checksum"] != hex.EncodeToString(sum[:8]) || key != nil && len(key) != len(b.Bytes):
			return nil, errors.New("share " + number + " is damaged; use a copy")
		case b.Headers["Root"] != Hash(root):
			return nil, errors.New("share " + number + " is one of another root")
		case seen[number]:
			return nil, errors.New("share " + number + " was given twice")
		}
		seen[number], of = true, n
		if key == nil {
			key = make([]byte, len(b.Bytes))
		}
		subtle.XORBytes(key, key, b.Bytes)
	}
	if len(seen) != of || of < 1 {
		return nil, errors.New("this key is in " + strconv.Itoa(of) + " hands; " + strconv.Itoa(len(seen)) + " are here")
	}
	return key, nil
}
