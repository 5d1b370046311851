// oauth4webapi, below openid-client: every request and every answer by hand, as a careful application would, and the side of an
// API that is handed access tokens.
import assert from 'node:assert/strict'
import * as oauth from 'oauth4webapi'
import { key, open, play, refused, site } from './talk.mjs'

const issuer = new URL(site.issuer)
const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer))
const api = 'https://api.example/'

const web = { client_id: 'web' }
const webAuth = oauth.ClientSecretBasic(site.secret)

// nonced repeats a request once when the server wants a nonce of its own in the proof (RFC 9449 8).
async function nonced(request, process) {
  try {
    return await process(await request())
  } catch (e) {
    if (!oauth.isDPoPNonceError(e)) throw e
    return process(await request())
  }
}

async function begin(client, more = {}) {
  const kept = { verifier: oauth.generateRandomCodeVerifier(), state: oauth.generateRandomState(), nonce: oauth.generateRandomNonce() }
  const asked = new URLSearchParams({
    client_id: client.client_id, redirect_uri: site.redirect, response_type: 'code', scope: 'openid email', state: kept.state, nonce: kept.nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(kept.verifier), code_challenge_method: 'S256', ...more,
  })
  return { kept, asked }
}

async function redeem(client, auth, back, kept, DPoP) {
  const params = oauth.validateAuthResponse(as, client, back, kept.state)
  const tokens = await nonced(
    () => oauth.authorizationCodeGrantRequest(as, client, auth, params, site.redirect, kept.verifier, { DPoP }),
    (response) => oauth.processAuthorizationCodeResponse(as, client, response, { expectedNonce: kept.nonce, requireIdToken: true }),
  )
  return { tokens, id: oauth.getValidatedIdTokenClaims(tokens) }
}

const authorize = (asked) => {
  const url = new URL(as.authorization_endpoint)
  url.search = asked
  return url
}

const signIn = async (client, auth, more, DPoP) => {
  const { kept, asked } = await begin(client, more)
  return redeem(client, auth, await open(authorize(asked)), kept, DPoP)
}

// pushed signs in as FAPI 2.0 wants it: PAR, a key of the client, and a DPoP key.
async function pushed(client, auth, DPoP, asked, kept) {
  const { request_uri } = await nonced(
    () => oauth.pushedAuthorizationRequest(as, client, auth, asked, { DPoP }),
    (response) => oauth.processPushedAuthorizationResponse(as, client, response),
  )
  const url = authorize(new URLSearchParams({ client_id: client.client_id, request_uri }))
  return redeem(client, auth, await open(url), kept, DPoP)
}

await play({
  async code() {
    const { tokens, id } = await signIn(web, webAuth)
    const who = await oauth.processUserInfoResponse(as, web, id.sub, await oauth.userInfoRequest(as, web, tokens.access_token))
    assert.match(who.email, /@alder\.example$/)
    await refused('userinfo of somebody else', oauth.userInfoRequest(as, web, tokens.access_token).then((r) => oauth.processUserInfoResponse(as, web, 'somebody', r)), {
      code: 'OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED',
    })
    const second = await oauth.processRefreshTokenResponse(as, web, await oauth.refreshTokenGrantRequest(as, web, webAuth, tokens.refresh_token))
    await oauth.processRevocationResponse(await oauth.revocationRequest(as, web, webAuth, second.refresh_token))
    const dead = await oauth.processIntrospectionResponse(as, web, await oauth.introspectionRequest(as, web, webAuth, second.access_token))
    assert.equal(dead.active, false)
  },

  async notices() {
    const { kept, asked } = await begin(web)
    const back = await open(authorize(asked))
    const forged = (name, value) => {
      const url = new URL(back)
      value === null ? url.searchParams.delete(name) : url.searchParams.set(name, value)
      return async () => oauth.validateAuthResponse(as, web, url, kept.state)
    }
    for (const [name, value] of [['state', 'another'], ['state', null], ['iss', 'https://elsewhere.example'], ['iss', null]]) {
      await refused(`${name} ${value}`, forged(name, value)(), { code: 'OAUTH_INVALID_RESPONSE' })
    }
    await refused('another nonce', redeem(web, webAuth, back, { ...kept, nonce: 'another' }), { code: 'OAUTH_JWT_CLAIM_COMPARISON_FAILED' })
    await refused('the same code again', redeem(web, webAuth, back, kept), { error: 'invalid_grant' })
    await refused('another issuer', oauth.discoveryRequest(issuer).then((r) => oauth.processDiscoveryResponse(new URL('https://elsewhere.example'), r)), {
      code: 'OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED',
    })
  },

  // An API looks at the token itself (RFC 9068), and at who holds it (RFC 9449).
  async resourceServer() {
    const keys = await oauth.generateKeyPair('ES256')
    const DPoP = oauth.DPoP(web, keys)
    const { tokens, id } = await signIn(web, webAuth, { scope: 'openid orders', resource: api }, DPoP)
    const call = async (token, dpop) => {
      let seen
      const fetched = async (url, init) => {
        seen = new Request(url, init)
        return new Response()
      }
      await oauth.protectedResourceRequest(token, 'GET', new URL('/orders', api), undefined, undefined, { DPoP: dpop, [oauth.customFetch]: fetched })
      return oauth.validateJwtAccessToken(as, seen, api, { signingAlgorithms: ['ES256'] })
    }
    const claims = await call(tokens.access_token, DPoP)
    assert.ok(claims.sub === id.sub && claims.client_id === 'web' && claims.scope === 'openid orders' && claims.cnf.jkt)
    await refused('with another key', call(tokens.access_token, oauth.DPoP(web, await oauth.generateKeyPair('ES256'))), { code: 'OAUTH_JWT_CLAIM_COMPARISON_FAILED' })
    await refused('without a proof', call(tokens.access_token), { code: 'OAUTH_INVALID_RESPONSE' })
    await refused('an ID token', call(tokens.id_token), { code: 'OAUTH_INVALID_RESPONSE', message: 'unexpected JWT "typ" header parameter value' })
    const own = await oauth.processClientCredentialsResponse(as, web, await oauth.clientCredentialsGrantRequest(as, web, webAuth, { scope: 'orders', resource: api }))
    assert.equal((await call(own.access_token)).sub, 'web')
  },

  async signedIntrospection() {
    const client = { ...web, introspection_signed_response_alg: 'ES256' }
    const { tokens, id } = await signIn(client, webAuth)
    const response = await oauth.introspectionRequest(as, client, webAuth, tokens.access_token, { requestJwtResponse: true })
    const seen = await oauth.processIntrospectionResponse(as, client, response)
    await oauth.validateApplicationLevelSignature(as, response)
    assert.ok(seen.active && seen.sub === id.sub)
  },

  async strict() {
    const client = { client_id: 'strict' }
    const auth = oauth.PrivateKeyJwt(await key('strict'))
    const DPoP = oauth.DPoP(client, await oauth.generateKeyPair('ES256'))
    const { kept, asked } = await begin(client)
    const { tokens, id } = await pushed(client, auth, DPoP, asked, kept)
    const who = await oauth.processUserInfoResponse(as, client, id.sub, await oauth.userInfoRequest(as, client, tokens.access_token, { DPoP }))
    assert.match(who.email, /@alder\.example$/)
    const again = await begin(client)
    await refused('another DPoP key in the end', pushed(client, auth, DPoP, again.asked, again.kept).then(({ tokens }) =>
      oauth.refreshTokenGrantRequest(as, client, auth, tokens.refresh_token, { DPoP: undefined }).then((r) => oauth.processRefreshTokenResponse(as, client, r))), {
      error: 'invalid_dpop_proof',
    })
  },

  // Everything signed: the request (RFC 9101) by a key that stands at jwks_uri, with a nonce of the server's in each proof, and
  // userinfo as a JWT.
  async signed() {
    const client = { client_id: 'signed', userinfo_signed_response_alg: 'PS256' }
    const auth = oauth.PrivateKeyJwt(await key('signed'))
    const DPoP = oauth.DPoP(client, await oauth.generateKeyPair('ES256'))
    const { kept, asked } = await begin(client)
    const request = await oauth.issueRequestObject(as, client, asked, await key('signed'))
    const { tokens, id } = await pushed(client, auth, DPoP, new URLSearchParams({ client_id: 'signed', request }), kept)
    const who = await nonced(
      () => oauth.userInfoRequest(as, client, tokens.access_token, { DPoP }),
      async (response) => {
        const claims = await oauth.processUserInfoResponse(as, client, id.sub, response)
        await oauth.validateApplicationLevelSignature(as, response)
        return claims
      },
    )
    assert.match(who.email, /@alder\.example$/)
    const { asked: bare } = await begin(client)
    assert.equal((await open(authorize(bare))).searchParams.get('error'), 'invalid_request')
  },
})
