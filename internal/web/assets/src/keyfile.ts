import { bits, int, join, nothing, octets, oid, sequence, set, tlv, whole, wide, within, type Bytes } from "./der";

const data = "1.2.840.113549.1.7.1";
const ascii = (text: string): Bytes => new TextEncoder().encode(text);
const fresh = (n: number): Bytes => crypto.getRandomValues(new Uint8Array(n));

/** A new key on P-256, to be taken out once, into the file. */
export const newKey = (): Promise<CryptoKeyPair> => crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign"]) as Promise<CryptoKeyPair>;

/** A certificate request (PKCS #10, RFC 2986) that names nobody: the server knows whose it is, and takes the key alone. */
export async function request(key: CryptoKeyPair): Promise<Bytes> {
  const spki = new Uint8Array(await crypto.subtle.exportKey("spki", key.publicKey));
  const info = sequence(int(0), sequence(), spki, within(0));
  const raw = new Uint8Array(await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, key.privateKey, info));
  const signature = sequence(whole(raw.slice(0, 32)), whole(raw.slice(32)));
  return sequence(info, sequence(oid("1.2.840.10045.4.3.2")), bits(signature));
}

/** How often the password is hashed for the encryption. It has 100 random bits; this is for those who look. */
const rounds = 100_000;
/** And for the check: readers take this many from everybody, and a browser hashes one by one here. */
const checkRounds = 2048;

/** Encrypts with AES-256 under a password, PBES2 of RFC 8018; returns the algorithm and the result. */
async function lock(password: string, plain: Bytes): Promise<[Bytes, Bytes]> {
  const salt = fresh(16);
  const iv = fresh(16);
  const from = await crypto.subtle.importKey("raw", ascii(password), "PBKDF2", false, ["deriveKey"]);
  const key = await crypto.subtle.deriveKey({ name: "PBKDF2", hash: "SHA-256", salt, iterations: rounds }, from, { name: "AES-CBC", length: 256 }, false, ["encrypt"]);
  const locked = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-CBC", iv }, key, plain));
  const derived = sequence(oid("1.2.840.113549.1.5.12"), sequence(octets(salt), int(rounds), sequence(oid("1.2.840.113549.2.9"), nothing)));
  const cipher = sequence(oid("2.16.840.1.101.3.4.1.42"), octets(iv));
  return [sequence(oid("1.2.840.113549.1.5.13"), sequence(derived, cipher)), locked];
}

/** Repeats bytes to a whole number of blocks of 64. */
function blocks(part: Bytes): Bytes {
  const out = new Uint8Array(Math.ceil(part.length / 64) * 64);
  for (let i = 0; i < out.length; i++) out[i] = part[i % part.length] ?? 0;
  return out;
}

/** The key of the check (RFC 7292 B.2, with SHA-256): one round of the outer loop is enough for its 32 bytes. */
async function checkKey(password: string, salt: Bytes): Promise<Bytes> {
  let key: Bytes = join(new Uint8Array(64).fill(3), blocks(salt), blocks(join(wide(password), new Uint8Array(2))));
  for (let i = 0; i < checkRounds; i++) key = new Uint8Array(await crypto.subtle.digest("SHA-256", key));
  return key;
}

/**
 * A PKCS #12 file (RFC 7292) with a key, its certificate and what that was signed by: what the server writes for systems that
 * read AES-256 with SHA-256, and in the same order.
 */
export async function keyFile(key: CryptoKey, certificate: Bytes, issuers: Bytes[], password: string, label: string): Promise<Bytes> {
  const id = new Uint8Array(await crypto.subtle.digest("SHA-1", certificate)); // tells which certificate is the key's, nothing else
  const attributes = set(
    sequence(oid("1.2.840.113549.1.9.20"), set(tlv(0x1e, wide(label)))),
    sequence(oid("1.2.840.113549.1.9.21"), set(octets(id))),
  );
  const bag = (kind: string, value: Bytes, ...rest: Bytes[]): Bytes => sequence(oid(`1.2.840.113549.1.12.10.1.${kind}`), within(0, value), ...rest);
  const held = (c: Bytes, ...rest: Bytes[]): Bytes => bag("3", sequence(oid("1.2.840.113549.1.9.22.1"), within(0, octets(c))), ...rest);

  const [certAlgorithm, certs] = await lock(password, sequence(held(certificate, attributes), ...issuers.map((c) => held(c))));
  const hidden = sequence(oid("1.2.840.113549.1.7.6"), within(0, sequence(int(0), sequence(oid(data), certAlgorithm, tlv(0x80, certs)))));
  const plain = new Uint8Array(await crypto.subtle.exportKey("pkcs8", key));
  const [keyAlgorithm, locked] = await lock(password, plain);
  plain.fill(0);
  const shrouded = sequence(oid(data), within(0, octets(sequence(bag("2", sequence(keyAlgorithm, octets(locked)), attributes)))));
  const safe = sequence(hidden, shrouded);

  const salt = fresh(8);
  const mac = await crypto.subtle.importKey("raw", await checkKey(password, salt), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const check = new Uint8Array(await crypto.subtle.sign("HMAC", mac, safe));
  return sequence(
    int(3),
    sequence(oid(data), within(0, octets(safe))),
    sequence(sequence(sequence(oid("2.16.840.1.101.3.4.2.1"), nothing), octets(check)), octets(salt), int(checkRounds)),
  );
}
