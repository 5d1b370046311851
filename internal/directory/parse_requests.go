package directory

import (
	"strconv"
	"time"
)

// Bounds beyond which a number of [requests] would only stop the help desk.
const (
	coolingMost = 7 * 24 * 60 // minutes
	longerMost  = 14 * 24     // hours
	checksMost  = 12
)

// Checklist is what staff check about a caller where a realm does not say: nothing that a stranger could look up, and no
// question of knowledge (SEC H-6).
var Checklist = []CheckRule{
	{ID: "call-back", Name: Localized{
		"en": "Called back at the number on file", "de": "Zurückgerufen unter der hinterlegten Nummer",
		"fr": "Rappel au numéro enregistré", "it": "Richiamata al numero registrato",
	}, About: Localized{
		"en": "Hang up and call the number in the customer file. Never one the caller gives you.",
		"de": "Auflegen und die Nummer aus der Kundenakte anrufen. Nie eine, die am Telefon genannt wird.",
		"fr": "Raccrochez et appelez le numéro du dossier client. Jamais un numéro donné par l’appelant.",
		"it": "Riagganci e chiami il numero della scheda cliente. Mai uno indicato da chi chiama.",
	}},
	{ID: "second-person", Name: Localized{
		"en": "A second person of the customer confirms", "de": "Eine zweite Person des Kunden bestätigt",
		"fr": "Une deuxième personne du client confirme", "it": "Una seconda persona del cliente conferma",
	}, About: Localized{
		"en": "Somebody of the customer whom you reach by a number on file knows of the request.",
		"de": "Jemand vom Kunden, unter einer hinterlegten Nummer erreicht, weiss von der Anfrage.",
		"fr": "Une personne du client, jointe à un numéro enregistré, est au courant de la demande.",
		"it": "Qualcuno del cliente, raggiunto a un numero registrato, è al corrente della richiesta.",
	}, Optional: true},
}

// requests checks how help is given: numbers may be made stricter only.
func (c *check) requests() {
	q := &c.r.Requests
	c.number("requests.cooling_minutes", q.Cooling, CoolingMinutes, coolingMost)
	c.number("requests.privileged_cooling_hours", q.Longer, PrivilegedHours, longerMost)
	c.number("requests.per_agent", q.Agent, 1, ApprovalsPerAgent)
	c.number("requests.per_administrator", q.Administrator, 1, ResetsPerAdministrator)
	c.number("requests.second_look_percent", q.SecondLook, SecondLookPercent, 100)
	c.number("calls.minutes", c.r.Calls.Minutes, 1, CallMinutes)
	if !c.Has("requests.check") {
		for _, rule := range Checklist {
			q.Checks = append(q.Checks, CheckRule{ID: rule.ID, Name: c.in(rule.Name), About: c.in(rule.About), Optional: rule.Optional})
		}
		return
	}
	ids, required := map[string]bool{}, 0
	if len(q.Checks) > checksMost {
		c.Bad("requests.check", "more than %d", checksMost)
	}
	for i, rule := range q.Checks {
		at := "requests.check[" + strconv.Itoa(i) + "]"
		c.id(at+".id", rule.ID, ids)
		c.localized(at+".name", rule.Name, 120, false)
		c.localized(at+".about", rule.About, 400, false)
		if !rule.Optional {
			required++
		}
	}
	if required == 0 {
		c.Bad("requests.check", "at least one has to pass: leave out optional")
	}
}

// in keeps of a text of ours what the realm speaks.
func (c *check) in(l Localized) Localized {
	out := Localized{}
	for _, lang := range c.spoken {
		out[lang] = l[lang]
	}
	return out
}

// Strict returns the settings with every number at least as strict as the built-in one, and the built-in checklist where
// there is none: a realm that was stored by an older version has neither.
func (q Requests) Strict() Requests {
	q.Cooling, q.Longer = max(q.Cooling, CoolingMinutes), max(q.Longer, PrivilegedHours)
	within := func(v, most int) int {
		if v < 1 || v > most {
			return most
		}
		return v
	}
	q.Agent, q.Administrator = within(q.Agent, ApprovalsPerAgent), within(q.Administrator, ResetsPerAdministrator)
	q.SecondLook = min(max(q.SecondLook, SecondLookPercent), 100)
	if len(q.Checks) == 0 {
		q.Checks = Checklist
	}
	return q
}

// Life is how long a code lives: what a realm says that was stored by an older version, or nothing, is CallMinutes.
func (c Calls) Life() time.Duration {
	if c.Minutes < 1 || c.Minutes > CallMinutes {
		return CallMinutes * time.Minute
	}
	return time.Duration(c.Minutes) * time.Minute
}

// Required are the ids of the checks that have to pass.
func (q Requests) Required() (ids []string) {
	for _, rule := range q.Checks {
		if !rule.Optional {
			ids = append(ids, rule.ID)
		}
	}
	return ids
}
