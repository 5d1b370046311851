package directory

import "time"

// Realm is one front door: host name, brand, languages, policy, terms. It is declared in a TOML file and loaded by
// `doorward apply`; the database keeps it as one document with a version.
type Realm struct {
	ID         string         `toml:"realm" json:"id"`
	Name       string         `toml:"name" json:"name"`           // as people know it: "Northline Supply"
	Host       string         `toml:"host" json:"host"`           // the host name of the door, without port
	Origin     string         `toml:"origin" json:"origin"`       // https://HOST[:PORT], where links lead; default from host
	Languages  []string       `toml:"languages" json:"languages"` // of en de fr it; the first is the default
	Zone       string         `toml:"zone" json:"zone"`           // IANA time zone
	Policy     string         `toml:"policy" json:"policy"`       // text of the policy language
	Operator   string         `toml:"operator" json:"operator"`   // name of the realm's own organization
	Brand      Brand          `toml:"brand" json:"brand"`
	Desk       Desk           `toml:"desk" json:"desk"`
	Session    SessionLimits  `toml:"session" json:"session"`
	Invitation Invitation     `toml:"invitation" json:"invitation"`
	Password   PasswordRules  `toml:"password" json:"password"`
	Apps       []App          `toml:"authenticator" json:"authenticators"`
	Terms      Terms          `toml:"terms" json:"terms"`
	Topics     []Topic        `toml:"topic" json:"topics"`
	Relying    []RelyingParty `toml:"relying_party" json:"relying_parties"`
	Manager    Localized      `toml:"password_managers" json:"password_managers"` // the operator's words on password managers, may be missing
	Version    int64          `toml:"-" json:"-"`
	PolicyLine int            `toml:"-" json:"-"` // line of the file on which the policy's text begins; 0 when it came from the store
}

// Localized is a text per language; For falls back to English, then to any.
type Localized map[string]string

// For picks the text of a language.
func (l Localized) For(lang string) string {
	for _, k := range []string{lang, "en", "de", "fr", "it"} {
		if s, ok := l[k]; ok {
			return s
		}
	}
	return ""
}

// Brand is what a realm may set of the design tokens: hue 0..360, chroma <= .16, panel <= .44, round 1..2.
type Brand struct {
	Hue     float64 `toml:"hue" json:"hue"`
	Chroma  float64 `toml:"chroma" json:"chroma"`
	Paper   float64 `toml:"paper" json:"paper"`
	Tint    float64 `toml:"tint" json:"tint"`
	Panel   float64 `toml:"panel" json:"panel"`
	Round   float64 `toml:"round" json:"round"`
	Heading string  `toml:"heading" json:"heading"` // "sans" or "serif"
	Motif   string  `toml:"motif" json:"motif"`     // which built-in drawing and mark: "north", "meridian"
}

// Desk is the operator's help desk.
type Desk struct {
	Phone string    `toml:"phone" json:"phone"` // E.164 or as written; shown as a tel: link
	Mail  string    `toml:"mail" json:"mail"`
	Hours Localized `toml:"hours" json:"hours"`
	Place string    `toml:"address" json:"address"` // postal address in the foot of mails
}

// SessionLimits are minutes. Staff and administrators have their own, never longer than members'.
type SessionLimits struct {
	Idle          int `toml:"idle_minutes" json:"idle_minutes"`
	Absolute      int `toml:"absolute_minutes" json:"absolute_minutes"`
	StaffIdle     int `toml:"staff_idle_minutes" json:"staff_idle_minutes"`
	StaffAbsolute int `toml:"staff_absolute_minutes" json:"staff_absolute_minutes"`
}

// Invitation is how long an invitation lives: 7 days by default, 14 at most.
type Invitation struct {
	Days int `toml:"days" json:"days"`
}

// PasswordRules may only make the built-in floor stricter: length 12, Argon2id m = 19456 KiB, t = 2, p = 1.
type PasswordRules struct {
	Length int `toml:"length" json:"length"`
	Memory int `toml:"memory_kib" json:"memory_kib"`
	Passes int `toml:"passes" json:"passes"`
	Lanes  int `toml:"lanes" json:"lanes"`
}

// App is an authenticator the realm offers (REQ B8, B91): steps are data, versioned and per language.
type App struct {
	ID          string              `toml:"id" json:"id"`
	Name        string              `toml:"name" json:"name"`
	Kind        string              `toml:"kind" json:"kind"` // "app" (on a phone) or "extension" (in a browser)
	Recommended bool                `toml:"recommended" json:"recommended"`
	Hidden      bool                `toml:"hidden" json:"hidden"`
	About       Localized           `toml:"about" json:"about"`
	Stores      map[string]string   `toml:"stores" json:"stores"` // platform -> https address: ios android chrome firefox edge
	Steps       map[string][]string `toml:"steps" json:"steps"`   // language -> the steps after installing, before scanning
	Version     string              `toml:"version" json:"version"`
}

// Terms of the realm, per language. A new Version is accepted anew by everybody.
type Terms struct {
	Version string    `toml:"version" json:"version"`
	InForce time.Time `toml:"in_force" json:"in_force"`
	Text    Localized `toml:"text" json:"text"` // paragraphs; a line starting with "# " is a heading
}

// Topic is something a person may want to be written to about.
type Topic struct {
	ID    string    `toml:"id" json:"id"`
	Name  Localized `toml:"name" json:"name"`
	About Localized `toml:"about" json:"about"`
}

// RelyingParty is an application behind the door.
type RelyingParty struct {
	ID   string `toml:"id" json:"id"`
	Name string `toml:"name" json:"name"`
	Home string `toml:"home" json:"home"` // where "on to the application" leads
}
