package password

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"math/bits"
	"slices"
	"strings"

	"github.com/FastFilter/xorfilter"

	"doorward/internal/fault"
)

// A List is a set of passwords that are known to others. It holds 16 bits for each, in binary fuse filters: about 2.3
// bytes a password, so the largest public collection fits into memory. What is in the list is always found; one of
// 65,536 others is taken for one of it, and whoever meets that chooses again.
//
// A password is looked up by the first 64 bits of its SHA-1: public collections come as SHA-1, and nothing here depends
// on more than an even spread.
//
// The file: magic, number of shards as a power of two (uint32), number of passwords (uint64); then for each shard, by the
// leading bits of the key, a seed (uint64), segment length, segments and fingerprints (uint32 each), and the fingerprints
// (uint16); last the SHA-256 of all before. Numbers are little-endian. A shard with no fingerprints is empty.
type List struct {
	shardBits int
	count     uint64
	shards    []xorfilter.BinaryFuse[uint16]
}

const (
	magic       = "doorward-list-1\n"
	shardKeys   = 1 << 18 // at most about twice as many in one shard
	shardMax    = 1 << 16
	segmentMax  = 1 << 18 // of the filter's own construction
	segmentsMax = 1 << 16
	lineMax     = 4096
)

// Len is the number of passwords in the list.
func (l *List) Len() uint64 { return l.count }

// Contains reports whether the password is in the list, as it is or in small letters.
func (l *List) Contains(password string) bool {
	if l.contains(keyOf(password)) {
		return true
	}
	lower := strings.ToLower(password)
	return lower != password && l.contains(keyOf(lower))
}

func (l *List) contains(key uint64) bool {
	f := &l.shards[shardOf(key, l.shardBits)]
	return len(f.Fingerprints) > 0 && f.Contains(key)
}

func keyOf(password string) uint64 {
	sum := sha1.Sum([]byte(password))
	return binary.BigEndian.Uint64(sum[:])
}

func shardOf(key uint64, bits int) uint64 { return key >> (64 - bits) } // a shift by 64 is 0

// BuildList reads passwords, one a line, and writes the list. A line of 40 hexadecimal digits is a SHA-1, with or
// without a colon and a count behind it, as public collections have it; any other line is a password. Empty lines are
// skipped. It needs 8 bytes of memory a line, and the same lines in any order give the same file. It fails with
// fault.Invalid "list-empty" or "list-line-too-long" (Args line), and with what reading and writing fail with.
func BuildList(r io.Reader, w io.Writer) (passwords int, err error) {
	keys, err := readKeys(r)
	if err != nil {
		return 0, err
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	if len(keys) == 0 {
		return 0, fault.New(fault.Invalid, "list-empty")
	}
	passwords = len(keys)
	sum := sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(w, sum), 1<<16)
	shardBits := min(bits.Len(uint(passwords/shardKeys)), bits.Len(shardMax)-1)
	out.WriteString(magic)
	write(out, uint32(shardBits), uint64(passwords))
	for shard := range uint64(1) << shardBits {
		n := 0
		for n < len(keys) && shardOf(keys[n], shardBits) == shard {
			n++
		}
		if err := writeShard(out, keys[:n]); err != nil {
			return 0, err
		}
		keys = keys[n:]
	}
	if err := out.Flush(); err != nil { // the writer keeps its first error
		return 0, err
	}
	_, err = w.Write(sum.Sum(nil))
	return passwords, err
}

func readKeys(r io.Reader) ([]uint64, error) {
	var keys []uint64
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, lineMax)
	n := 0
	for lines.Scan() {
		n++
		line := bytes.TrimSuffix(lines.Bytes(), []byte("\r"))
		if len(line) == 0 {
			continue
		}
		digest, _, _ := bytes.Cut(line, []byte(":"))
		var sum [sha1.Size]byte
		if len(digest) == 2*sha1.Size {
			if _, err := hex.Decode(sum[:], digest); err == nil {
				keys = append(keys, binary.BigEndian.Uint64(sum[:]))
				continue
			}
		}
		keys = append(keys, keyOf(string(line)))
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, fault.New(fault.Invalid, "list-line-too-long", "line", n+1)
	} else if err != nil {
		return nil, err
	}
	return keys, nil
}

func writeShard(out io.Writer, keys []uint64) error {
	if len(keys) == 0 {
		write(out, uint64(0), uint32(0), uint32(0), uint32(0))
		return nil
	}
	f, err := xorfilter.NewBinaryFuse[uint16](slices.Clone(keys)) // it may reorder what it is given
	if err != nil {
		return err
	}
	write(out, f.Seed, f.SegmentLength, f.SegmentCount, uint32(len(f.Fingerprints)), f.Fingerprints)
	return nil
}

// write ignores errors: its writer keeps the first one for Flush.
func write(out io.Writer, values ...any) {
	for _, v := range values {
		_ = binary.Write(out, binary.LittleEndian, v)
	}
}

// LoadList reads what BuildList wrote. It fails with fault.Invalid "list-broken" (Args why) for anything else; memory
// grows with what is really there, not with what the file claims.
func LoadList(r io.Reader) (*List, error) {
	in := &summed{r: bufio.NewReaderSize(r, 1<<16), sum: sha256.New()}
	head := in.next(len(magic) + 12)
	if in.err != nil || string(head[:len(magic)]) != magic {
		return nil, broken("no list")
	}
	shardBits := binary.LittleEndian.Uint32(head[len(magic):])
	if shardBits >= uint32(bits.Len(shardMax)) {
		return nil, broken("shards")
	}
	l := &List{shardBits: int(shardBits), count: binary.LittleEndian.Uint64(head[len(magic)+4:])}
	for range 1 << shardBits {
		f, ok := in.shard()
		if in.err != nil {
			return nil, broken("cut off")
		}
		if !ok {
			return nil, broken("shard")
		}
		l.shards = append(l.shards, f)
	}
	want := in.sum.Sum(nil)
	if got := in.next(sha256.Size); in.err != nil || !bytes.Equal(got, want) {
		return nil, broken("checksum")
	}
	if in.next(1); !errors.Is(in.err, io.EOF) {
		return nil, broken("more behind its end")
	}
	return l, nil
}

func broken(why string) error { return fault.New(fault.Invalid, "list-broken", "why", why) }

// summed reads and sums; err is the first failure.
type summed struct {
	r   io.Reader
	sum hash.Hash
	err error
}

func (in *summed) next(n int) []byte {
	b := make([]byte, n)
	if in.err == nil {
		_, in.err = io.ReadFull(in.r, b)
		in.sum.Write(b)
	}
	return b
}

// shard reads one filter; ok is false when looking into it could leave its bounds.
func (in *summed) shard() (f xorfilter.BinaryFuse[uint16], ok bool) {
	head := in.next(20)
	f.Seed = binary.LittleEndian.Uint64(head)
	f.SegmentLength = binary.LittleEndian.Uint32(head[8:])
	f.SegmentCount = binary.LittleEndian.Uint32(head[12:])
	n := binary.LittleEndian.Uint32(head[16:])
	if n == 0 {
		return f, f.SegmentLength == 0 && f.SegmentCount == 0
	}
	if bits.OnesCount32(f.SegmentLength) != 1 || f.SegmentLength > segmentMax || f.SegmentCount == 0 || f.SegmentCount > segmentsMax ||
		uint64(n) != (uint64(f.SegmentCount)+2)*uint64(f.SegmentLength) || uint64(f.SegmentCount)*uint64(f.SegmentLength) > 1<<31 {
		return f, false
	}
	f.SegmentLengthMask = f.SegmentLength - 1
	f.SegmentCountLength = f.SegmentCount * f.SegmentLength
	for n > 0 && in.err == nil {
		some := min(n, 1<<15)
		b := in.next(2 * int(some))
		for i := 0; i < len(b); i += 2 {
			f.Fingerprints = append(f.Fingerprints, binary.LittleEndian.Uint16(b[i:]))
		}
		n -= some
	}
	return f, true
}
