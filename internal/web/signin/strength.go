package signin

import (
	"encoding/json"
	"net/http"

	"doorward/internal/fault"
	"doorward/internal/web"
)

// rated is what the meter beside a new password shows: 0 to 4, and words when there is advice.
type rated struct {
	Score int    `json:"score"`
	Words string `json:"words,omitempty"`
}

// advice puts a hint into words; empty where the catalogue has none.
func advice(v *web.Visit, hint string) string {
	if hint == "" || !v.Has("signin.advice."+hint) {
		return ""
	}
	return v.T("signin.advice." + hint)
}

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
	score, hint := d.Strength(r.PostFormValue("password"), []string{v.Realm.Name, v.Realm.Host, v.Realm.Operator})
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(rated{Score: score, Words: advice(v, hint)})
}
