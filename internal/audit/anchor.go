package audit

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
)

// Anchor keeps checkpoints outside of the database, where who changes the database cannot change them. Without one, a
// trail cut off at its end looks like a shorter, honest one.
type Anchor interface {
	// Put adds a signed checkpoint and returns once it is kept.
	Put(ctx context.Context, signed string) error
	// Last is the newest checkpoint kept, empty when there is none or when the anchor cannot tell.
	Last(ctx context.Context) (string, error)
}

// File is an anchor in a file that only grows: one JSON object a line, {"note": "..."}. It belongs on another disk or
// machine, or under an append-only attribute.
type File struct {
	Path string

	mu   sync.Mutex
	last string
	read bool
}

type anchored struct {
	Note string `json:"note"`
}

const anchorLineMax = 64 << 10

// Put appends one line and syncs the file. A line torn by a power cut is closed first and stays, unreadable.
func (a *File) Put(_ context.Context, signed string) (err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	line, err := json.Marshal(anchored{signed})
	if err != nil {
		return fmt.Errorf("anchor: %w", err)
	}
	f, err := os.OpenFile(a.Path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("anchor: %w", err)
	}
	defer func() {
		if e := f.Close(); err == nil && e != nil {
			err = fmt.Errorf("anchor: %w", e)
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("anchor: %w", err)
	}
	if end := info.Size(); end > 0 {
		var b [1]byte
		if _, err := f.ReadAt(b[:], end-1); err != nil {
			return fmt.Errorf("anchor: %w", err)
		}
		if b[0] != '\n' {
			line = append([]byte("\n"), line...)
		}
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("anchor: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("anchor: %w", err)
	}
	a.last, a.read = signed, true
	return nil
}

// Last reads the file once and then remembers.
func (a *File) Last(context.Context) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.read {
		return a.last, nil
	}
	f, err := os.Open(a.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("anchor: %w", err)
	}
	defer f.Close()
	notes, _, err := ReadAnchor(f)
	if err != nil {
		return "", err
	}
	if len(notes) > 0 {
		a.last = notes[len(notes)-1]
	}
	a.read = true
	return a.last, nil
}

// ReadAnchor reads a File's lines, oldest first. Torn are the lines that are none: a power cut leaves one at most, a
// hand leaves more.
func ReadAnchor(in io.Reader) (notes []string, torn int, err error) {
	s := bufio.NewScanner(in)
	s.Buffer(nil, anchorLineMax)
	for s.Scan() {
		var a anchored
		if json.Unmarshal(s.Bytes(), &a) != nil || a.Note == "" {
			torn++
			continue
		}
		notes = append(notes, a.Note)
	}
	if err := s.Err(); err != nil {
		return nil, 0, fmt.Errorf("read the anchor: %w", err)
	}
	return notes, torn, nil
}
