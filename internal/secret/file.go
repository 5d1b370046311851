package secret

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"doorward/internal/fault"
)

// The ring's file is lines of text:
//
//	doorward-ring 1
//	fixed BASE64
//	seal ID BASE64      one or more, oldest first
//	end CHECKSUM        of everything above; finds a torn copy, a lost line, a slip of the hand
const (
	ringHead = "doorward-ring 1\n"
	ringMax  = 64 << 10
	sumLen   = 8
)

var b64 = base64.RawStdEncoding.Strict()

// ReadRing reads what WriteTo wrote. Anything else fails with fault.Invalid "ring-broken"; the error never quotes the file.
func ReadRing(in io.Reader) (*Ring, error) {
	text, err := io.ReadAll(io.LimitReader(in, ringMax+1))
	if err != nil {
		return nil, fmt.Errorf("read the key ring: %w", err)
	}
	end := bytes.LastIndex(text, []byte("\nend ")) + 1
	if len(text) > ringMax || end == 0 || !bytes.HasPrefix(text, []byte(ringHead)) {
		return nil, broken("it is no complete key ring")
	}
	body := text[:end]
	if subtle.ConstantTimeCompare(text[end:], []byte(endLine(body))) != 1 {
		return nil, broken("its checksum does not match")
	}

	lines := strings.Split(strings.TrimSuffix(string(body[len(ringHead):]), "\n"), "\n")
	word, value, _ := strings.Cut(lines[0], " ")
	fixed, ok := decodeKey(value)
	if word != "fixed" || !ok {
		return nil, broken("line 2 must be the fixed key")
	}
	var seal []sealKey
	for i, line := range lines[1:] {
		f := strings.Split(line, " ")
		if len(f) != 3 || f[0] != "seal" || len(f[1]) != 2*idLen || strings.ToLower(f[1]) != f[1] {
			return nil, broken(fmt.Sprintf("line %d must be a sealing key", i+3))
		}
		var k sealKey
		if _, err := hex.Decode(k.id[:], []byte(f[1])); err != nil {
			return nil, broken(fmt.Sprintf("line %d has no key id", i+3))
		}
		if k.key, ok = decodeKey(f[2]); !ok {
			return nil, broken(fmt.Sprintf("line %d has no key of %d bytes", i+3, keyLen))
		}
		if _, twice := find(seal, k.id); twice {
			return nil, broken(fmt.Sprintf("line %d repeats a key id", i+3))
		}
		seal = append(seal, k)
	}
	if len(seal) == 0 {
		return nil, broken("it has no sealing key")
	}
	return ringOf(fixed, seal)
}

func broken(why string) error { return fault.New(fault.Invalid, "ring-broken", "why", why) }

func decodeKey(s string) ([]byte, bool) {
	k, err := b64.DecodeString(s)
	return k, err == nil && len(k) == keyLen && b64.EncodeToString(k) == s
}

func endLine(body []byte) string {
	h := sha256.Sum256(body)
	return "end " + hex.EncodeToString(h[:sumLen]) + "\n"
}

// WriteTo writes the ring with all its keys in clear. Only a file of its owner may take it.
func (r *Ring) WriteTo(w io.Writer) (int64, error) {
	r.mu.RLock()
	var b bytes.Buffer
	b.WriteString(ringHead + "fixed " + b64.EncodeToString(r.fixed) + "\n")
	for _, k := range r.seal {
		b.WriteString("seal " + k.id.String() + " " + b64.EncodeToString(k.key) + "\n")
	}
	r.mu.RUnlock()
	b.WriteString(endLine(b.Bytes()))
	return b.WriteTo(w)
}

// LoadRing reads a ring from its file. A file that group or others can read or write is refused with fault.Forbidden
// "ring-open-to-others": keys that were readable are no secret. A missing file is fault.NotFound "ring-missing".
func LoadRing(path string) (*Ring, error) {
	f, err := os.Open(path)
	if err != nil {
		if os.IsNotExist(err) {
			return nil, fault.New(fault.NotFound, "ring-missing", "path", path).Because(err)
		}
		return nil, fmt.Errorf("open the key ring: %w", err)
	}
	defer f.Close()
	info, err := f.Stat() // of the open file: the path may point elsewhere a moment later
	if err != nil {
		return nil, fmt.Errorf("look at the key ring: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fault.New(fault.Invalid, "ring-broken", "why", "it is no regular file")
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fault.New(fault.Forbidden, "ring-open-to-others", "path", path, "mode", info.Mode().Perm().String())
	}
	return ReadRing(f)
}

// Save replaces the ring's file, for its owner only. The file is whole at every moment: the old one or the new one,
// also after a power cut.
func (r *Ring) Save(path string) error { return r.save(path, os.Rename) }

// SaveNew writes the ring's first file and fails with fault.Exists "ring-exists" where there is one: an overwritten
// ring is a lost database.
func (r *Ring) SaveNew(path string) error {
	return r.save(path, func(from, to string) error {
		err := os.Link(from, to)
		if os.IsExist(err) {
			return fault.New(fault.Exists, "ring-exists", "path", path).Because(err)
		}
		return err
	})
}

func (r *Ring) save(path string, put func(from, to string) error) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".ring-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write the key ring: %w", err)
	}
	defer func() {
		if e := os.Remove(f.Name()); e != nil && !os.IsNotExist(e) && err == nil {
			err = fmt.Errorf("remove a copy of the key ring: %w", e)
		}
	}()
	_, err = r.WriteTo(f)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = put(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write the key ring: %w", err)
	}
	return syncDir(dir)
}

// syncDir makes a new name in a directory last. Systems that cannot sync a directory keep names by other means.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	defer d.Close()
	err = d.Sync()
	if err == nil || errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return fmt.Errorf("sync %s: %w", dir, err)
}
