// Package postgres runs a throw-away PostgreSQL cluster for tests: Debian's binaries, a directory of its own, reachable
// through a Unix socket in it and nowhere else.
//
// Rules of this package:
//   - The cluster ends with the process that started it, however that ends. A small shell process holds the other end of
//     a pipe; when the pipe closes it stops the server and removes the directory. No test has to remember anything.
//   - The server writes as in production (fsync is on), so that tests which kill it prove something. Only the making of
//     the cluster is not synced.
//   - PostgreSQL refuses to run as root; then all of this runs as the user postgres.
package postgres

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// ErrMissing says that there is no PostgreSQL on this machine, and what to do about it.
var ErrMissing = errors.New("PostgreSQL is not installed: apt-get install postgresql (its server programs in /usr/lib/postgresql/VERSION/bin or on the PATH)")

// Cluster is a running server.
type Cluster struct {
	dir  string
	cmd  *exec.Cmd
	pipe io.Closer
}

// maxSocketDir leaves room for the socket's name in the 107 bytes that a Unix socket's path may have.
const maxSocketDir = 80

// keeper makes the cluster, starts the server, says "ready" and waits for the end of its input.
//
// $1 directory of the programs, $2 directory of the cluster
const keeper = `
bin=$1 dir=$2 pid=
trap '' INT TERM HUP
cd "$dir" || exit 1
end() { [ -n "$pid" ] && kill -QUIT "$pid" 2>/dev/null && wait "$pid"; cd / && rm -rf "$dir"; exit "$1"; }
"$bin/initdb" -D data -U doorward -A trust -E UTF8 --locale=C --no-sync >log 2>&1 || { cat log; end 1; }
"$bin/postgres" -D data -k "$dir" -c listen_addresses= -c max_connections=300 -c shared_buffers=64MB \
	-c max_wal_size=512MB -c log_min_messages=fatal -c log_min_error_statement=panic >>log 2>&1 </dev/null &
pid=$!
until "$bin/pg_isready" -q -U doorward -h "$dir"; do
	kill -0 "$pid" 2>/dev/null || { cat log; pid=; end 1; }
	sleep 0.05
done
echo ready
read -r _
end 0
`

// Start makes a cluster and waits until it answers. It fails with ErrMissing when there is no PostgreSQL.
func Start() (*Cluster, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	base := os.TempDir()
	if len(base) > maxSocketDir-20 {
		base = "/tmp"
	}
	dir, err := os.MkdirTemp(base, "doorward-pg")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("/bin/sh", "-c", keeper, "keeper", bin, dir)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // an interrupt from the terminal is not for the server
	if os.Getuid() == 0 {
		if err := lend(cmd, dir); err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	said := bufio.NewReader(out)
	line, err := said.ReadString('\n')
	if err != nil || line != "ready\n" {
		rest, _ := io.ReadAll(said)
		in.Close()
		return nil, errors.Join(fmt.Errorf("PostgreSQL does not start: %s%s", line, rest), cmd.Wait())
	}
	c := &Cluster{dir: dir, cmd: cmd, pipe: in}
	keep.Store(c, true)
	return c, nil
}

// keep holds the clusters that run: one that nobody refers to any more would have its pipe collected and end.
var keep sync.Map

// lend gives the directory and the process to the user postgres.
func lend(cmd *exec.Cmd, dir string) error {
	u, err := user.Lookup("postgres")
	if err != nil {
		return fmt.Errorf("%w (root needs the user postgres: %w)", ErrMissing, err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(dir, uid, gid)
}

// programs finds the directory of the newest server programs.
func programs() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", err
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
	if len(found) == 0 {
		path, err := exec.LookPath("postgres")
		if err != nil {
			return "", ErrMissing
		}
		found = []string{path}
	}
	return filepath.Dir(found[0]), nil
}

// DSN is the address of a database of the cluster; "postgres" always exists.
func (c *Cluster) DSN(database string) string { return address(c.dir, database) }

func address(dir, database string) string {
	q := url.Values{"host": {dir}, "user": {"doorward"}, "sslmode": {"disable"}}
	return (&url.URL{Scheme: "postgres", Path: "/" + database, RawQuery: q.Encode()}).String()
}

// Server is the process id of the server, for tests that kill it.
func (c *Cluster) Server() (int, error) {
	b, err := os.ReadFile(filepath.Join(c.dir, "data", "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(b), "\n")
	return strconv.Atoi(first)
}

// Stop stops the server, removes its directory and returns when both are done.
func (c *Cluster) Stop() error {
	keep.Delete(c)
	return errors.Join(c.pipe.Close(), c.cmd.Wait())
}
