//go:build !linux

package main

// dropPages does nothing: only Linux says which pages are the program's own.
func dropPages() {}
