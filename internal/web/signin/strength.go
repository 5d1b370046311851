package signin

import (
	"encoding/json"
	"net/http"
	"strconv"

	"doorward/internal/authn"
	"doorward/internal/authn/password"
	"doorward/internal/fault"
	"doorward/internal/web"
)

// rated is what the meter beside a new password shows: 0 to 4, and words when there is advice.
type rated struct {
	Score int    `json:"score"`
	Words string `json:"words,omitempty"`
}

// advice puts a hint of password.Strength into words.
func advice(v *web.Visit, hint string) string { return v.T("signin.advice." + hint) }

// strength rates a password while it is typed. It stores and counts nothing; rating costs time, so only a few run at
// once, and the meter of whoever comes in between stays as it is.
func (d *Door) strength(w http.ResponseWriter, r *http.Request) error {
	v := web.From(r)
	select {
	case d.rating <- struct{}{}:
		defer func() { <-d.rating }()
	default:
		return fault.New(fault.Unavailable, "busy").After(1e9)
	}
	about := authn.Subject{Realm: v.Realm.ID, Issuer: v.Realm.Name, Words: []string{v.Realm.Name, v.Realm.Host, v.Realm.Operator}}
	score, hints := password.Strength(about, r.PostFormValue("password"))
	answer := rated{Score: score}
	if len(hints) > 0 {
		answer.Words = v.T("base.strength-"+strconv.Itoa(score)) + ". " + advice(v, hints[0])
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(answer)
}
