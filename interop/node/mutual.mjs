// oauth4webapi and openid-client with certificates (RFC 8705). Node's own fetch has none, undici's has; and it is told where
// mtls.localhost is, which no resolver of a server machine knows.
import assert from 'node:assert/strict'
import { X509Certificate, createHash } from 'node:crypto'
import * as oauth from 'oauth4webapi'
import * as oidc from 'openid-client'
import { Agent, fetch } from 'undici'
import { key, open, play, refused, site } from './talk.mjs'

const issuer = new URL(site.issuer)
const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer))
const here = (host, { all }, found) => (all ? found(null, [{ address: '127.0.0.1', family: 4 }]) : found(null, '127.0.0.1', 4))

// showing is a fetch that shows a certificate, or none.
function showing(who) {
  const { certificate: cert, key } = site.mutual[who] ?? {}
  const dispatcher = new Agent({ connect: { cert, key, lookup: here } })
  return { [oauth.customFetch]: (url, init) => fetch(url, { ...init, dispatcher }) }
}

const thumbprint = (who) => createHash('sha256').update(new X509Certificate(site.mutual[who].certificate).raw).digest('base64url')
const challenged = { code: 'OAUTH_WWW_AUTHENTICATE_CHALLENGE' }

async function begin(client) {
  const kept = { verifier: oauth.generateRandomCodeVerifier(), state: oauth.generateRandomState(), nonce: oauth.generateRandomNonce() }
  return { kept, asked: new URLSearchParams({
    client_id: client.client_id, redirect_uri: site.redirect, response_type: 'code', scope: 'openid email', state: kept.state, nonce: kept.nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(kept.verifier), code_challenge_method: 'S256',
  }) }
}

async function signIn(client, auth, who, { par } = {}) {
  const { kept, asked } = await begin(client)
  const url = new URL(as.authorization_endpoint)
  url.search = asked
  if (par) {
    const response = await oauth.pushedAuthorizationRequest(as, client, auth, asked, showing(who))
    const { request_uri } = await oauth.processPushedAuthorizationResponse(as, client, response)
    url.search = new URLSearchParams({ client_id: client.client_id, request_uri })
  }
  const params = oauth.validateAuthResponse(as, client, await open(url), kept.state)
  const response = await oauth.authorizationCodeGrantRequest(as, client, auth, params, site.redirect, kept.verifier, showing(who))
  const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, { expectedNonce: kept.nonce, requireIdToken: true })
  return { tokens, sub: oauth.getValidatedIdTokenClaims(tokens).sub }
}

const userinfo = async (client, token, sub, who) => oauth.processUserInfoResponse(as, client, sub, await oauth.userInfoRequest(as, client, token, showing(who)))

// bound wants a token to be of use with its own certificate only.
async function bound(client, { tokens, sub }, who) {
  assert.equal(tokens.token_type, 'bearer')
  const payload = JSON.parse(Buffer.from(tokens.access_token.split('.')[1], 'base64url'))
  assert.equal(payload.cnf['x5t#S256'], thumbprint(who))
  assert.match((await userinfo(client, tokens.access_token, sub, who)).email, /@alder\.example$/)
  await refused('with no certificate', userinfo(client, tokens.access_token, sub, 'nobody'), challenged)
  await refused("with another's certificate", userinfo(client, tokens.access_token, sub, 'stranger'), challenged)
  await refused('at the host that asks for none', userinfo({ ...client, use_mtls_endpoint_aliases: false }, tokens.access_token, sub, who), challenged)
}

await play({
  async chain() {
    assert.ok(as.mtls_endpoint_aliases.token_endpoint.startsWith('https://mtls.localhost:') && as.tls_client_certificate_bound_access_tokens)
    const client = { client_id: 'mutual', use_mtls_endpoint_aliases: true }
    const auth = oauth.TlsClientAuth()
    const signed = await signIn(client, auth, 'mutual')
    await bound(client, signed, 'mutual')
    const second = await oauth.processRefreshTokenResponse(as, client, await oauth.refreshTokenGrantRequest(as, client, auth, signed.tokens.refresh_token, showing('mutual')))
    assert.ok(second.access_token)
    const own = async (who) => oauth.processClientCredentialsResponse(as, client, await oauth.clientCredentialsGrantRequest(as, client, auth, { scope: 'orders' }, showing(who)))
    assert.ok((await own('mutual')).access_token)
    for (const who of ['nobody', 'stranger', 'neighbour', 'self']) await refused(`the certificate of ${who}`, own(who), { error: 'invalid_client' })
  },

  async selfSigned() {
    const client = { client_id: 'self', use_mtls_endpoint_aliases: true }
    const signed = await signIn(client, oauth.TlsClientAuth(), 'self', { par: true })
    await bound(client, signed, 'self')
    await refused('another certificate', signIn(client, oauth.TlsClientAuth(), 'mutual', { par: true }), { error: 'invalid_client' })
  },

  async privateKey() {
    const client = { client_id: 'bound', use_mtls_endpoint_aliases: true }
    const signed = await signIn(client, oauth.PrivateKeyJwt(await key('bound')), 'stranger', { par: true })
    assert.equal(JSON.parse(Buffer.from(signed.tokens.access_token.split('.')[1], 'base64url')).cnf['x5t#S256'], thumbprint('stranger'))
    await assert.rejects(signIn(client, oauth.PrivateKeyJwt(await key('bound')), 'nobody', { par: true }), 'a token that is bound to nothing')
  },

  async openidClient() {
    const config = await oidc.discovery(issuer, 'mutual', { use_mtls_endpoint_aliases: true }, oidc.TlsClientAuth(), showing('mutual'))
    const tokens = await oidc.clientCredentialsGrant(config, { scope: 'orders' })
    const seen = await oidc.tokenIntrospection(config, tokens.access_token)
    assert.ok(seen.active && seen.cnf['x5t#S256'] === thumbprint('mutual'))
  },
})
