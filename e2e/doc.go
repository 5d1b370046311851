// Package e2e walks the journeys of docs/requirements.md through the built program: a real browser, a plain HTTP
// client, real mails on disk, and an authenticator app that is not ours (oathtool, zbarimg). It holds tests only.
package e2e
