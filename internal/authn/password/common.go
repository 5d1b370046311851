package password

import (
	"bytes"
	_ "embed"
	"sync"
)

// commonFile is the built-in list: the 30,000 most common passwords and the most common words and names, about 94,000
// in all. TestTheCommonListIsWhatItsGeneratorMakes makes it anew and compares; with -update it writes it. NOTICE says
// where the words come from.
//
//go:embed common.list
var commonFile []byte

// common reads the built-in list when it is first asked for: a server that only verifies never pays for it.
var common = sync.OnceValue(func() *List {
	l, err := LoadList(bytes.NewReader(commonFile))
	if err != nil {
		panic("password: the built-in list: " + err.Error()) // it is part of the program, and a test reads it
	}
	return l
})
