// Package signin is the pages of a flow: sign-in, first set-up, a new password, a change of authenticator.
//
// # The rules
//
//   - The engine decides what comes next. GET /signin/{flow} draws the step of that moment, and every POST answers with
//     303 to it. A page never leads to another step by itself, so Back, reload and a second tab always show the truth.
//   - One page per kind and duty. A new kind adds a file here and a row in provePage or bindPage (flow.go).
//   - GET changes nothing, a link from a mail least of all: scanners follow links (SEC A-1).
//   - Three cookies, all __Host-, HttpOnly, Secure, SameSite=Lax: browser (ties a flow to this browser), session, device.
//     They are written in keep alone; beside them, a page that leads to the request form leaves the typed address for ten
//     minutes (web.KeepAsking). Codes and links never stand in a log: only route patterns are logged.
//   - What a stranger sees does not depend on whether an address is known: same bytes, same status, same cookies.
//   - A form that is shown again keeps what was typed, except passwords.
//
// # Status codes, for clients without a person in front of them
//
//	200  a page; also the page of a step that was begun before
//	303  after every POST that was accepted, to the next page
//	410  the flow or link is over; the page says how to get a new one
//	422  the same form again: the input or the evidence was not accepted, #error-summary says why
//	429  the same form again: too often, Retry-After says when to come back
//	503  the same form again: too busy, Retry-After says when to come back
//
// A refused password or code answers 422 and not 200, so that browsers do not offer to save a password that is wrong.
package signin
