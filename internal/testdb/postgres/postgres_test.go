package postgres_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"doorward/internal/testdb/postgres"
)

const child = "DOORWARD_TEST_CLUSTER_CHILD"

// TestMain makes this binary a process that starts a cluster and is killed.
func TestMain(m *testing.M) {
	if os.Getenv(child) == "" {
		os.Exit(m.Run())
	}
	c, err := postgres.Start()
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	pid, err := c.Server()
	fmt.Println(pid, c.DSN("postgres"), err)
	select {}
}

// However a test process ends, its server ends too and its directory is gone.
func TestClusterEndsWithItsProcess(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), child+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	var pid int
	var dsn string
	if _, scan := fmt.Sscan(line, &pid, &dsn); err != nil || scan != nil || syscall.Kill(pid, 0) != nil {
		t.Fatalf("no cluster: %q, %v, %v", line, err, scan)
	}
	_, rest, _ := strings.Cut(dsn, "host=")
	host, _, _ := strings.Cut(rest, "&")
	place := filepath.FromSlash(strings.ReplaceAll(host, "%2F", "/"))
	if _, err := os.Stat(place); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		_, gone := os.Stat(place)
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) && errors.Is(gone, os.ErrNotExist) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server %d or %s is left", pid, place)
		}
	}
}

func TestStopLeavesNothing(t *testing.T) {
	c, err := postgres.Start()
	if err != nil {
		t.Fatal(err)
	}
	pid, err := c.Server()
	if err != nil || syscall.Kill(pid, 0) != nil {
		t.Fatalf("no server: %v", err)
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		t.Error("the server runs on")
	}
}
