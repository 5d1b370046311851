// Package authn holds the words of authentication: kinds, credentials, evidence, flows and policies, and the one pure
// function that computes the next step from them. It knows no database, no HTTP and no wall clock.
package authn

// Kind is a way to authenticate, or a once-only proof that opens a gate.
type Kind string

// Kinds a person can hold as a credential.
const (
	Cert     Kind = "cert"
	Password Kind = "password"
	TOTP     Kind = "totp"
	Phone    Kind = "phone"
	Passkey  Kind = "passkey"
	Recovery Kind = "recovery"
)

// Once-only kinds: shown in a flow, never held.
const (
	Invite Kind = "invite" // an invitation's secret, from the mailbox of a person who was never active
	Mail   Kind = "mail"   // a round trip to the stored address
	Call   Kind = "call"   // the activation call, confirmed by an agent
	Spoken Kind = "spoken" // a spoken code, confirmed by an agent
)

// Category is what a kind proves in the sense of NIST SP 800-63B: something known, something had.
type Category uint8

// Categories. A kind that is both (a passkey with user verification, a phone with its own lock) counts as two.
const (
	Knowledge Category = 1 << iota
	Possession
)

// KindInfo is one row of the kind table.
type KindInfo struct {
	Kind       Kind
	Categories Category // 0 for once-only kinds: they never count towards an assurance level
	AMR        []string // RFC 8176
	Held       bool     // can be a credential of a person
	Identifies bool     // names its person before the person is known
	Phishable  bool     // can be relayed by a look-alike page in real time
	Models     bool     // comes in models (the realm's authenticators): one is chosen before anything is offered to bind
}

// Kinds is the kind table, in the order in which ways are offered where nothing else decides.
var Kinds = []KindInfo{
	{Kind: Cert, Categories: Possession, AMR: []string{"swk"}, Held: true, Identifies: true},
	{Kind: Password, Categories: Knowledge, AMR: []string{"pwd"}, Held: true, Identifies: true, Phishable: true},
	{Kind: TOTP, Categories: Possession, AMR: []string{"otp"}, Held: true, Phishable: true, Models: true},
	{Kind: Phone, Categories: Possession, AMR: []string{"swk"}, Held: true, Phishable: true},
	{Kind: Passkey, Categories: Knowledge | Possession, AMR: []string{"hwk", "user"}, Held: true, Identifies: true},
	{Kind: Recovery, AMR: []string{"otp"}, Held: true, Phishable: true},
	{Kind: Invite, Identifies: true},
	{Kind: Mail, Identifies: true},
	{Kind: Call},
	{Kind: Spoken},
}

// Info finds the row of a kind; ok is false for an unknown one.
func Info(k Kind) (info KindInfo, ok bool) {
	for _, i := range Kinds {
		if i.Kind == k {
			return i, true
		}
	}
	return KindInfo{}, false
}
