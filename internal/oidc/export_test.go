package oidc

import (
	"context"

	"doorward/internal/directory"
	"doorward/internal/token"
)

// ClientKeys is clientKeys for the tests.
func (p *Provider) ClientKeys(ctx context.Context, rp directory.RelyingParty, has func(*token.ClientKeys) bool) (*token.ClientKeys, error) {
	return p.clientKeys(ctx, rp, has)
}
