// Command cluster runs another command with a PostgreSQL cluster at hand, so that many test packages share one:
//
//	go run ./internal/testdb/cluster -- go test ./...
//
// The command finds the cluster's address in DOORWARD_TEST_POSTGRES. Its exit status is this program's.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"doorward/internal/testdb/postgres"
)

func main() {
	args := os.Args[1:]
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		fmt.Fprintln(os.Stderr, "usage: cluster -- COMMAND [ARGUMENTS]")
		os.Exit(2)
	}
	status, err := run(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
	}
	os.Exit(status)
}

func run(args []string) (int, error) {
	c, err := postgres.Start()
	if err != nil {
		return 1, err
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "DOORWARD_TEST_POSTGRES="+c.DSN("postgres"))
	// The terminal interrupts the command too; a signal sent to this program alone is passed on.
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if err := cmd.Start(); err != nil {
		return 1, errors.Join(err, c.Stop())
	}
	go func() {
		for s := range signals {
			if s == syscall.SIGTERM {
				_ = cmd.Process.Signal(s)
			}
		}
	}()
	err = cmd.Wait()
	status := cmd.ProcessState.ExitCode()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = nil
		if status < 0 {
			status = 1
		}
	}
	return status, errors.Join(err, c.Stop())
}
