// Command build makes the style sheet and the script of the pages: esbuild as a Go library, no Node. It is run in
// internal/web by go generate (make assets); a test compares what it makes with what is committed.
package main

import (
	"fmt"
	"os"

	"doorward/internal/web/assets/bundle"
)

func main() {
	if err := bundle.Write("assets"); err != nil {
		fmt.Fprintln(os.Stderr, "assets:", err)
		os.Exit(1)
	}
}
