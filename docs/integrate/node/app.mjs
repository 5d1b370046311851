// An application that leaves signing in to Doorward. It listens in the clear on loopback, behind a proxy that speaks TLS.
import { createServer } from 'node:http'
import { randomBytes } from 'node:crypto'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import * as oidc from 'openid-client'

const { ISSUER, CLIENT_ID, CLIENT_SECRET, BASE_URL, PORT } = process.env
const config = await oidc.discovery(new URL(ISSUER), CLIENT_ID, undefined, oidc.ClientSecretBasic(CLIENT_SECRET))
const keys = createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri))
const sessions = new Map() // by cookie; yours stand where your sessions are, and end after some hours

const html = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)
const cookies = (req) => Object.fromEntries((req.headers.cookie ?? '').split(/; */).map((c) => c.split('=', 2)))
const cookie = (name, value, age) => `${name}=${value}; Path=/; Secure; HttpOnly; SameSite=Lax${age === undefined ? '' : `; Max-Age=${age}`}`
const redirect = (res, to, ...set) => res.writeHead(303, { location: String(to), 'set-cookie': set, 'cache-control': 'no-store' }).end()
const refuse = (res, status, why) => res.writeHead(status, { 'content-type': 'text/plain', 'set-cookie': cookie('__Host-signin', '', 0) }).end(why)

async function form(req) {
  let body = ''
  for await (const part of req) if ((body += part).length > 20_000) throw new Error('too long')
  return new URLSearchParams(body)
}

const routes = {
  'GET /'(req, res) {
    const s = sessions.get(cookies(req)['__Host-booking'])
    res.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' })
    res.end(`<!doctype html><html lang="en"><title>Booking</title><main>` + (s
      ? `<p>Hello ${html(s.name)}, <span id="email">${html(s.email)}</span></p><form method="post" action="/signout"><button>Sign out</button></form>`
      : `<p><a href="/signin">Sign in</a></p>`) + `</main></html>`)
  },

  // state, nonce and PKCE verifier stay with the browser that begins: an answer that another browser asked for is none.
  async 'GET /signin'(req, res) {
    const [state, nonce, verifier] = [oidc.randomState(), oidc.randomNonce(), oidc.randomPKCECodeVerifier()]
    const to = oidc.buildAuthorizationUrl(config, {
      redirect_uri: `${BASE_URL}/callback`, scope: 'openid profile email', state, nonce,
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
    })
    redirect(res, to, cookie('__Host-signin', [state, nonce, verifier].join('.'), 3600))
  },

  async 'GET /callback'(req, res) {
    const [state, nonce, verifier] = (cookies(req)['__Host-signin'] ?? '').split('.')
    if (!verifier) return refuse(res, 400, 'This answer is not one to a sign-in that began here. Please begin again.')
    let tokens, who
    try {
      // Looks at state and iss, redeems the code, and verifies the ID token and its nonce.
      tokens = await oidc.authorizationCodeGrant(config, new URL(req.url, BASE_URL), {
        expectedState: state, expectedNonce: nonce, pkceCodeVerifier: verifier, idTokenExpected: true,
      })
      who = await oidc.fetchUserInfo(config, tokens.access_token, tokens.claims().sub) // name and address come from there
    } catch (e) {
      console.error(e.code, e.message)
      return refuse(res, 400, `You were not signed in${e.error ? `: ${e.error}` : ''}. Please begin again.`)
    }
    const { sub, sid } = tokens.claims()
    const id = randomBytes(24).toString('base64url')
    sessions.set(id, { sub, sid, name: who.name, email: who.email, idToken: tokens.id_token })
    redirect(res, '/', cookie('__Host-booking', id), cookie('__Host-signin', '', 0))
  },

  // Ends the session here, then at Doorward, which brings the browser back and tells the other applications.
  'POST /signout'(req, res) {
    if (req.headers.origin !== BASE_URL) return refuse(res, 403, 'Only a page of ours signs people out.')
    const id = cookies(req)['__Host-booking']
    const hint = sessions.get(id)?.idToken
    sessions.delete(id)
    const to = oidc.buildEndSessionUrl(config, { post_logout_redirect_uri: `${BASE_URL}/`, ...(hint && { id_token_hint: hint }) })
    redirect(res, to, cookie('__Host-booking', '', 0))
  },

  // Called by Doorward when a session ended elsewhere (OpenID Connect Back-Channel Logout 2.6).
  async 'POST /backchannel-logout'(req, res) {
    let ended
    try {
      const { payload } = await jwtVerify((await form(req)).get('logout_token') ?? '', keys, {
        issuer: ISSUER, audience: CLIENT_ID, typ: 'logout+jwt', algorithms: ['ES256'], requiredClaims: ['exp', 'iat', 'jti'],
      })
      ended = payload
    } catch {
      return refuse(res, 400, 'not a log-out token')
    }
    if (!ended.events?.['http://schemas.openid.net/event/backchannel-logout'] || 'nonce' in ended || !(ended.sid || ended.sub)) {
      return refuse(res, 400, 'not a log-out token')
    }
    for (const [id, s] of sessions) if (ended.sid ? s.sid === ended.sid : s.sub === ended.sub) sessions.delete(id)
    res.writeHead(200, { 'cache-control': 'no-store' }).end()
  },
}

createServer(async (req, res) => {
  const route = routes[`${req.method} ${req.url.split('?', 1)[0]}`]
  try {
    await (route ? route(req, res) : refuse(res, 404, 'There is no such page.'))
  } catch (e) {
    console.error(e)
    if (!res.headersSent) refuse(res, 500, 'Our fault.')
    else res.destroy()
  }
}).listen(PORT, '127.0.0.1')
