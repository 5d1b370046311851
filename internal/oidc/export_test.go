package oidc

import (
	"context"

	"doorward/internal/directory"
	"doorward/internal/token"
)

// ClientKeys are the keys of a client as the provider finds them.
func (p *Provider) ClientKeys(ctx context.Context, rp directory.RelyingParty, has func(*token.ClientKeys) bool) (*token.ClientKeys, error) {
	return p.keysOf.Of(ctx, rp, has)
}
