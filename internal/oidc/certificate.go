package oidc

import (
	"crypto/x509"
	"log/slog"

	"doorward/internal/clientcert"
	"doorward/internal/directory"
	"doorward/internal/fault"
	"doorward/internal/secret"
	"doorward/internal/token"
	"doorward/internal/web"
)

// Client certificates (RFC 8705).
//
//   - They count at the realm's MTLSHost alone; no other host asks for one, and the listener hands none on from there.
//   - A token that is bound to a certificate names its thumbprint; whoever shows the token shows the certificate (SEC O-6).
//     The refresh token of a public client is bound alike. A confidential client proves itself at every refresh, and may have
//     another certificate by then (RFC 8705 4, 7.1).
//   - A failed proof is the one answer of every failed client authentication; the reason stands in the log (SEC O-7).

// origin is the one the call was sent to: the realm's, or that of its MTLSHost. Only a DPoP proof speaks of it; the issuer
// is the same at both.
func (c *call) origin() string {
	if web.From(c.r).MTLS {
		return c.realm.MTLSOrigin()
	}
	return c.realm.Origin
}

// certificates are what the client showed, unverified, its own first.
func (c *call) certificates() []*x509.Certificate {
	if c.r.TLS == nil || !web.From(c.r).MTLS {
		return nil
	}
	return c.r.TLS.PeerCertificates
}

// thumbprint is the x5t#S256 of the certificate that the client showed, empty for none.
func (c *call) thumbprint() string {
	if chain := c.certificates(); len(chain) > 0 {
		return token.CertificateThumbprint(chain[0].Raw)
	}
	return ""
}

// certified authenticates a client by its certificate.
func (p *Provider) certified(c *call, rp directory.RelyingParty) error {
	chain := c.certificates()
	var keys *token.ClientKeys
	var err error
	if rp.Auth == directory.AuthSelfSignedTLS && len(chain) > 0 {
		keys, err = p.keysOf.Of(c.r.Context(), rp, func(k *token.ClientKeys) bool { return k.HasCertificate(chain[0].Raw) })
	}
	if fault.Of(err, fault.Unavailable) {
		return err // where its keys are cannot be reached: try again
	}
	if err == nil {
		err = clientcert.Prove(rp, keys, chain, c.now)
	}
	if err != nil {
		p.Log.LogAttrs(c.r.Context(), slog.LevelInfo, "a client's certificate does not count",
			slog.String("realm", c.realm.ID), slog.String("client", rp.ID), slog.String("reason", err.Error()))
		return errClient.Because(err)
	}
	return nil
}

// binding says to which certificate the tokens of this call are bound, empty for none. It refuses a client whose tokens
// have to be bound and that showed no key for it: FAPI 2.0 leaves the choice between a DPoP key and a certificate (5.3.2.1).
func (c *call) binding(rp directory.RelyingParty, proof token.Proof) (string, error) {
	if proof.JKT == "" && rp.RequireDPoP {
		return "", token.Refuse(token.CodeInvalidProof, "this client must send a DPoP proof")
	}
	if !rp.TLSBoundTokens && (proof.JKT != "" || !rp.Strict()) {
		return "", nil
	}
	x5t := c.thumbprint()
	if x5t == "" {
		return "", token.Refuse(token.CodeInvalidRequest, "the tokens of this client are bound to its certificate: show it, at one of the mtls_endpoint_aliases")
	}
	return x5t, nil
}

// bind binds an authorization that has no key yet to the key of the proof that came, and a public client's to its
// certificate: what is issued from now on is bound, never a bearer token beside a proof.
func (c *call) bind(tx Tx, rp directory.RelyingParty, auth *token.Authorization, proof token.Proof) error {
	if auth.JKT == "" && proof.JKT != "" {
		auth.JKT = proof.JKT
		if err := tx.BindAuthorization(auth.Realm, auth.ID, auth.JKT); err != nil {
			return err
		}
	}
	if rp.Auth != directory.AuthNone || auth.X5T != "" || c.x5t == "" {
		return nil
	}
	auth.X5T = c.x5t
	return tx.BindCertificate(auth.Realm, auth.ID, auth.X5T)
}

// holdsCertificate wants a public client to refresh with the certificate to which its authorization is bound.
func (c *call) holdsCertificate(rp directory.RelyingParty, auth token.Authorization) error {
	if rp.Auth != directory.AuthNone || auth.X5T == "" {
		return nil
	}
	if x5t := c.thumbprint(); x5t == "" || !secret.Equal(auth.X5T, x5t) {
		return token.Refuse(token.CodeInvalidGrant, "the refresh token is bound to another client certificate")
	}
	return nil
}
