// Package spoken is the evidence that a call was confirmed: authn.Call within the session of a certificate, or of a phone
// where the certificate is lost, and authn.Spoken for who has neither.
//
// The rules of this package:
//
//   - The question is a code of six digits. Whoever waits reads it to an agent; the page never takes one.
//   - The answer is what became of the activation of this flow. Only a confirmed one is evidence, in its time, and only for
//     the flow that showed the code: the activation of another one proves nothing, whoever it is about.
package spoken

import (
	"context"
	"encoding/json"
	"fmt"

	"doorward/internal/activation"
	"doorward/internal/authn"
)

// Method is one kind of call. It has no state.
type Method struct{ kind authn.Kind }

var _ authn.Asker = (*Method)(nil)

// New makes the method of authn.Call or authn.Spoken.
func New(kind authn.Kind) *Method { return &Method{kind} }

// Kind implements authn.Method.
func (m *Method) Kind() authn.Kind { return m.kind }

// Ask draws a code; it lives for activation.Life, which login shortens to what the realm says.
func (m *Method) Ask(_ context.Context, f authn.Flow, _ []authn.Credential) (authn.Question, error) {
	return authn.Question{Kind: m.kind, Data: []byte(activation.NewCode()), Asked: f.Now, Expires: f.Now.Add(activation.Life)}, nil
}

// Stored hands the activation of a flow to its method, nothing where there is none.
func Stored(a activation.Activation) ([]authn.Credential, error) {
	if a.ID == "" {
		return nil, nil
	}
	data, err := json.Marshal(a)
	return []authn.Credential{{ID: a.ID, Realm: a.Realm, Person: a.Person, Kind: a.Kind, State: authn.Active, Data: data}}, err
}

// Verify judges the activation of the flow: stored is what Stored made of it. It rejects with "call-waiting" what nobody has confirmed, and with "call-over" what cannot be collected any more.
func (m *Method) Verify(_ context.Context, f authn.Flow, stored []authn.Credential, _ authn.Answer) (authn.Shown, error) {
	if len(stored) == 0 {
		return authn.Shown{}, authn.Reject("call-over")
	}
	var a activation.Activation
	if err := json.Unmarshal(stored[0].Data, &a); err != nil {
		return authn.Shown{}, fmt.Errorf("activation %s: %w", stored[0].ID, err)
	}
	switch {
	case a.Kind != m.kind || a.Flow != f.ID || a.Realm != f.Realm || a.Person != f.Person || a.Person == "":
		return authn.Shown{}, authn.Reject("call-over")
	case a.Collectable(f.Now):
		return authn.Shown{Credential: authn.Credential{
			ID: a.ID, Realm: a.Realm, Person: a.Person, Kind: a.Kind, State: authn.Active, Created: a.Created,
		}}, nil
	case a.Live(f.Now):
		return authn.Shown{}, authn.Reject("call-waiting")
	}
	return authn.Shown{}, authn.Reject("call-over")
}
