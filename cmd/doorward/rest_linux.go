package main

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// dropPages lets go of the pages of the program itself. A mapping that cannot be given back stays; nothing depends on it.
func dropPages() {
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer f.Close()
	for _, m := range cleanMappings(f, executable()) {
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, m.begin, m.end-m.begin, syscall.MADV_DONTNEED)
	}
}

func executable() string {
	path, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return ""
	}
	return path
}

// mapping is a range of addresses.
type mapping struct{ begin, end uintptr }

// cleanMappings finds the mappings of a file that are read-only and hold no page of their own: what is dropped there is
// read again from the file, unchanged.
func cleanMappings(smaps io.Reader, file string) []mapping {
	if file == "" {
		return nil
	}
	var found []mapping
	var at mapping
	ours := false
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) >= 6 && strings.Contains(fields[0], "-") { // begin-end rights offset device inode path
			at, ours = addresses(fields[0])
			ours = ours && fields[1][1] == '-' && strings.Join(fields[5:], " ") == file
			continue
		}
		if len(fields) >= 5 && strings.Contains(fields[0], "-") {
			ours = false // of no file
		}
		if ours && len(fields) > 1 && fields[0] == "Anonymous:" && fields[1] == "0" {
			found = append(found, at)
		}
	}
	return found
}

func addresses(s string) (m mapping, ok bool) {
	begin, end, _ := strings.Cut(s, "-")
	b, err := strconv.ParseUint(begin, 16, 64)
	if err != nil {
		return m, false
	}
	e, err := strconv.ParseUint(end, 16, 64)
	return mapping{uintptr(b), uintptr(e)}, err == nil && e > b
}
