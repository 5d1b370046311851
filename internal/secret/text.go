package secret

import (
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// Text is a secret in memory. It prints as [redacted] under every fmt verb, in JSON, XML and slog. Three ways round it
// are closed by its users: a struct field that holds it is exported (fmt cannot ask an unexported one how it wants to be
// printed), it is never the key of a map (encoding/json writes string keys as they are), and never the operand of %w
// (go vet refuses what is no error).
type Text string

// Reveal is the secret itself. Searching for its callers shows every place where a secret leaves its wrapping.
func (t Text) Reveal() string { return string(t) }

// Format hides the secret from fmt.
func (t Text) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// String hides the secret from those who call it directly.
func (t Text) String() string { return redacted }

// MarshalText hides the secret from JSON, XML and TOML.
func (t Text) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue hides the secret from logs.
func (t Text) LogValue() slog.Value { return slog.StringValue(redacted) }
