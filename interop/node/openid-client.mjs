// openid-client as an application uses it: every address by discovery, every check left on.
import assert from 'node:assert/strict'
import * as oidc from 'openid-client'
import { forget, key, open, play, refused, site, sleep, type } from './talk.mjs'

const issuer = new URL(site.issuer)
const mfa = 'urn:doorward:acr:mfa'

const web = () => oidc.discovery(issuer, 'web', undefined, oidc.ClientSecretBasic(site.secret))
const keys = async (id) => oidc.discovery(issuer, id, undefined, oidc.PrivateKeyJwt(await key(id)))

// begin is what an application keeps with the browser's session, and what it asks for.
async function begin(more = {}) {
  const kept = { pkceCodeVerifier: oidc.randomPKCECodeVerifier(), expectedState: oidc.randomState(), expectedNonce: oidc.randomNonce(), idTokenExpected: true }
  const asked = {
    redirect_uri: site.redirect, scope: 'openid profile email organization', state: kept.expectedState, nonce: kept.expectedNonce,
    code_challenge: await oidc.calculatePKCECodeChallenge(kept.pkceCodeVerifier), code_challenge_method: 'S256', ...more,
  }
  return { kept, asked }
}

// signIn takes a person through a client and returns the tokens and what the browser brought.
async function signIn(config, more, { par = false, checks = {}, options } = {}) {
  const { kept, asked } = await begin(more)
  const url = par ? await oidc.buildAuthorizationUrlWithPAR(config, asked, options) : oidc.buildAuthorizationUrl(config, asked)
  const back = await open(url, asked.redirect_uri)
  return { tokens: await oidc.authorizationCodeGrant(config, back, { ...kept, ...checks }, undefined, options), back, kept }
}

await play({
  async code() {
    const config = await web()
    const { tokens, back } = await signIn(config)
    const id = tokens.claims()
    assert.equal(back.searchParams.get('iss'), site.issuer)
    assert.equal(id.acr, mfa)
    assert.ok(id.sid && id.auth_time && id.amr.includes('mfa'))
    const who = await oidc.fetchUserInfo(config, tokens.access_token, id.sub)
    assert.match(who.email, /@alder\.example$/)
    assert.equal(who.org_name, 'Alder Works')
    return { sub: id.sub, email: who.email }
  },

  async refreshIntrospectRevoke() {
    const config = await web()
    const { tokens } = await signIn(config)
    const second = await oidc.refreshTokenGrant(config, tokens.refresh_token)
    assert.notEqual(second.refresh_token, tokens.refresh_token)
    assert.equal(second.claims().sub, tokens.claims().sub)
    const alive = await oidc.tokenIntrospection(config, second.access_token)
    assert.ok(alive.active && alive.client_id === 'web' && alive.sub === tokens.claims().sub)
    await oidc.tokenRevocation(config, second.refresh_token)
    assert.equal((await oidc.tokenIntrospection(config, second.access_token)).active, false)
    await refused('refresh after revocation', oidc.refreshTokenGrant(config, second.refresh_token), { error: 'invalid_grant' })
    await refused('userinfo after revocation', oidc.fetchUserInfo(config, second.access_token, tokens.claims().sub), { code: 'OAUTH_WWW_AUTHENTICATE_CHALLENGE' })
  },

  async signOut() {
    const config = await web()
    const { tokens } = await signIn(config)
    const state = oidc.randomState()
    const bye = oidc.buildEndSessionUrl(config, { id_token_hint: tokens.id_token, post_logout_redirect_uri: site.goodbye, state })
    const back = await open(bye, site.goodbye)
    assert.equal(back.searchParams.get('state'), state)
    await refused('refresh after sign-out', oidc.refreshTokenGrant(config, tokens.refresh_token), { error: 'invalid_grant' })
    const { asked } = await begin({ prompt: 'none' })
    assert.equal((await open(oidc.buildAuthorizationUrl(config, asked))).searchParams.get('error'), 'login_required')
  },

  // What the client is there to notice.
  async wrongState() {
    const config = await web()
    const { kept, asked } = await begin()
    const back = await open(oidc.buildAuthorizationUrl(config, asked))
    await refused('another state', oidc.authorizationCodeGrant(config, back, { ...kept, expectedState: 'another' }), { code: 'OAUTH_INVALID_RESPONSE' })
  },
  async wrongNonce() {
    const config = await web()
    const { kept, asked } = await begin()
    const back = await open(oidc.buildAuthorizationUrl(config, asked))
    await refused('another nonce', oidc.authorizationCodeGrant(config, back, { ...kept, expectedNonce: 'another' }), { code: 'OAUTH_JWT_CLAIM_COMPARISON_FAILED' })
  },
  async wrongIssuer() {
    const config = await web()
    const { kept, asked } = await begin()
    const back = await open(oidc.buildAuthorizationUrl(config, asked))
    for (const iss of ['https://elsewhere.example', null]) {
      const forged = new URL(back)
      iss ? forged.searchParams.set('iss', iss) : forged.searchParams.delete('iss')
      await refused(`iss ${iss}`, oidc.authorizationCodeGrant(config, forged, kept), { code: 'OAUTH_INVALID_RESPONSE' })
    }
    assert.ok((await oidc.authorizationCodeGrant(config, back, kept)).id_token) // and the true one is taken
  },
  async wrongVerifier() {
    const config = await web()
    const { kept, asked } = await begin()
    const back = await open(oidc.buildAuthorizationUrl(config, asked))
    await refused('another verifier', oidc.authorizationCodeGrant(config, back, { ...kept, pkceCodeVerifier: oidc.randomPKCECodeVerifier() }), { error: 'invalid_grant' })
  },

  async secretPost() {
    const config = await oidc.discovery(issuer, 'post', { id_token_signed_response_alg: 'RS256' }, oidc.ClientSecretPost(site.secret))
    const { tokens } = await signIn(config, { scope: 'openid email' })
    assert.ok(tokens.claims().sub)
    const wrong = await oidc.discovery(issuer, 'post', undefined, oidc.ClientSecretPost('not the secret'))
    await refused('a wrong secret', oidc.refreshTokenGrant(wrong, tokens.refresh_token), { error: 'invalid_client', status: 401 })
    return { sub: tokens.claims().sub }
  },
  async publicClient() {
    const config = await oidc.discovery(issuer, 'native', { id_token_signed_response_alg: 'EdDSA' }, oidc.None())
    const redirect_uri = 'http://127.0.0.1:49152/callback' // any port: RFC 8252 7.3
    const { tokens } = await signIn(config, { redirect_uri, scope: 'openid email' })
    assert.ok((await oidc.refreshTokenGrant(config, tokens.refresh_token)).access_token)
  },
  async machine() {
    const config = await web()
    const tokens = await oidc.clientCredentialsGrant(config, { scope: 'orders', resource: 'https://api.example/' })
    assert.equal(tokens.scope, 'orders')
    const seen = await oidc.tokenIntrospection(config, tokens.access_token)
    assert.ok(seen.active && [seen.aud].flat().includes('https://api.example/'))
    await refused('a scope that is not its own', oidc.clientCredentialsGrant(config, { scope: 'payments' }), { error: 'invalid_scope' })
  },
  async privateKey() {
    const config = await keys('keys')
    const { tokens } = await signIn(config, { scope: 'openid email' }, { par: true })
    assert.ok((await oidc.refreshTokenGrant(config, tokens.refresh_token)).access_token)
    assert.ok((await oidc.clientCredentialsGrant(config, { scope: 'orders' })).access_token)
    const other = await oidc.discovery(issuer, 'keys', undefined, oidc.PrivateKeyJwt(await key('strict')))
    await refused("another client's key", oidc.clientCredentialsGrant(other), { error: 'invalid_client', status: 401 })
  },
  async pushed() {
    const config = await web()
    const { kept, asked } = await begin()
    const url = await oidc.buildAuthorizationUrlWithPAR(config, asked)
    assert.deepEqual([...url.searchParams.keys()].sort(), ['client_id', 'request_uri'])
    const back = await open(url)
    assert.ok((await oidc.authorizationCodeGrant(config, back, kept)).id_token)
    await refused('an address that is not its own', oidc.buildAuthorizationUrlWithPAR(config, { ...asked, redirect_uri: 'https://evil.example/' }), { status: 400 })
  },
  async dpop() {
    const config = await web()
    const DPoP = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256'))
    const { tokens } = await signIn(config, {}, { options: { DPoP } })
    assert.equal(tokens.token_type, 'dpop')
    const sub = tokens.claims().sub
    assert.equal((await oidc.fetchUserInfo(config, tokens.access_token, sub, { DPoP })).sub, sub)
    await refused('as a bearer token', oidc.fetchUserInfo(config, tokens.access_token, sub), { code: 'OAUTH_WWW_AUTHENTICATE_CHALLENGE' })
    const thief = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256'))
    await refused('with another key', oidc.fetchUserInfo(config, tokens.access_token, sub, { DPoP: thief }), { code: 'OAUTH_WWW_AUTHENTICATE_CHALLENGE' })
    await refused('refresh with another key', oidc.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP: thief }), { error: 'invalid_dpop_proof' })
    const second = await oidc.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP })
    assert.ok((await oidc.tokenIntrospection(config, second.access_token)).cnf.jkt)
  },
  async strict() {
    const config = await keys('strict')
    const DPoP = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256'))
    const more = { scope: 'openid email' }
    const { tokens } = await signIn(config, more, { par: true, options: { DPoP } })
    assert.equal(tokens.token_type, 'dpop')
    const sub = tokens.claims().sub
    assert.equal((await oidc.fetchUserInfo(config, tokens.access_token, sub, { DPoP })).sub, sub)
    assert.ok((await oidc.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP })).access_token)
    const { asked } = await begin(more)
    const unpushed = await open(oidc.buildAuthorizationUrl(config, asked))
    assert.equal(unpushed.searchParams.get('error'), 'invalid_request')
    const pushed = await begin(more)
    const back = await open(await oidc.buildAuthorizationUrlWithPAR(config, pushed.asked, { DPoP }))
    await refused('a token without proof', oidc.authorizationCodeGrant(config, back, pushed.kept), { error: 'invalid_dpop_proof' })
  },

  // The request as an object signed by a key that stands at jwks_uri, a nonce of the server's in each DPoP proof, userinfo as a JWT.
  async signed() {
    const own = await key('signed')
    const config = await oidc.discovery(issuer, 'signed', { userinfo_signed_response_alg: 'PS256' }, oidc.PrivateKeyJwt(own))
    const DPoP = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair('ES256'))
    const { kept, asked } = await begin({ scope: 'openid email' })
    const url = await oidc.buildAuthorizationUrlWithJAR(config, asked, own)
    const tokens = await oidc.authorizationCodeGrant(config, await open(url), kept, undefined, { DPoP })
    assert.match((await oidc.fetchUserInfo(config, tokens.access_token, tokens.claims().sub, { DPoP })).email, /@alder\.example$/)
    const more = await begin({ scope: 'openid email' })
    const forged = await oidc.buildAuthorizationUrlWithJAR(config, more.asked, await key('keys'))
    await assert.rejects(open(forged), /400/, "an object signed by another client's key is a page for the person")
  },

  async device() {
    const config = await oidc.discovery(issuer, 'scanner', undefined, oidc.None())
    const asked = await oidc.initiateDeviceAuthorization(config, { scope: 'openid email' })
    assert.match(asked.user_code, /^[A-Z]{4}-[A-Z]{4}$/)
    const polling = oidc.pollDeviceAuthorizationGrant(config, asked)
    await sleep(6) // it is told to wait at least once
    await type(asked.verification_uri, asked.user_code, 'allow')
    const tokens = await polling
    assert.ok(tokens.claims().sub && tokens.claims().acr === mfa)
    assert.match((await oidc.fetchUserInfo(config, tokens.access_token, tokens.claims().sub)).email, /@alder\.example$/)
    assert.ok((await oidc.refreshTokenGrant(config, tokens.refresh_token)).access_token)
    await refused('the same code again', oidc.pollDeviceAuthorizationGrant(config, asked), { error: 'invalid_grant' })

    const second = await oidc.initiateDeviceAuthorization(config, { scope: 'openid' })
    await type(second.verification_uri_complete, second.user_code, 'deny')
    await refused('a device that the person does not know', oidc.pollDeviceAuthorizationGrant(config, second), { error: 'access_denied' })
  },

  async stepUp() {
    const config = await web()
    const claims = (value) => ({ claims: JSON.stringify({ id_token: { acr: { essential: true, value } } }) })
    const first = await signIn(config, claims(mfa))
    assert.equal(first.tokens.claims().acr, mfa)
    const { asked } = await begin(claims('phr'))
    const back = await open(oidc.buildAuthorizationUrl(config, asked))
    assert.equal(back.searchParams.get('error'), 'unmet_authentication_requirements')
    await sleep(2) // auth_time is in whole seconds
    const again = await signIn(config, { prompt: 'login', acr_values: mfa })
    assert.ok(again.tokens.claims().auth_time > first.tokens.claims().auth_time, 'signed in anew')
    assert.equal(again.tokens.claims().sid, first.tokens.claims().sid, 'the session stays')
    const young = await signIn(config, { max_age: '600' }, { checks: { maxAge: 600 } })
    assert.equal(young.tokens.claims().auth_time, again.tokens.claims().auth_time, 'young enough')
  },
  async silent() {
    const config = await web()
    const { tokens } = await signIn(config)
    const quiet = await signIn(config, { prompt: 'none', id_token_hint: tokens.id_token })
    assert.equal(quiet.tokens.claims().sub, tokens.claims().sub)
    await forget()
    const { kept, asked } = await begin({ prompt: 'none' })
    const back = await open(oidc.buildAuthorizationUrl(config, asked))
    await refused('a stranger', oidc.authorizationCodeGrant(config, back, kept), { error: 'login_required', code: 'OAUTH_AUTHORIZATION_RESPONSE_ERROR' })
  },
})
