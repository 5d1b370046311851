// How a scenario speaks with the test that plays it: one line of JSON each way. The last argument is the file that says
// what the clients of the site know, the one before it names the scenario.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

const [name, told] = process.argv.slice(-2)
export const site = JSON.parse(readFileSync(told, 'utf8'))

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()

async function ask(question) {
  process.stdout.write(JSON.stringify(question) + '\n')
  const { value, done } = await lines.next()
  if (done) throw new Error('the test has gone away')
  const answer = JSON.parse(value)
  if (answer.error) throw new Error(answer.error)
  return answer.url
}

// open sends the person's browser to an address and returns the address that it leaves to.
export const open = async (url, to = site.redirect) => new URL(await ask({ ask: 'open', url: String(url), to }))
// type has the person hand in the code of a device at an address, and press allow or deny.
export const type = (url, code, button) => ask({ ask: 'device', url, code, to: button })
// forget throws the browser's cookies away.
export const forget = () => ask({ ask: 'forget' })
export const sleep = (seconds) => ask({ ask: 'sleep', for: seconds })

// refused wants a promise to fail with an error that has these properties.
export async function refused(what, promise, want) {
  let got
  try {
    await promise
  } catch (e) {
    got = e
  }
  assert.ok(got, `${what}: not refused`)
  for (const [key, value] of Object.entries(want)) {
    assert.equal(got[key], value, `${what}: ${key} is ${got[key]} (${got.message}, ${got.cause?.message})`)
  }
}

// key is the private key of a client.
export async function key(client) {
  const { alg, kid, use, key_ops, ...jwk } = site.keys[client]
  return { key: await crypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign']), kid }
}

export async function play(scenarios) {
  const scenario = scenarios[name]
  if (!scenario) throw new Error(`there is no scenario ${name}`)
  const seen = await scenario()
  process.stdout.write(JSON.stringify({ done: seen ?? {} }) + '\n')
  process.exit(0)
}
