// DER (X.690), as far as certificate requests and PKCS #12 files need it.

export type Bytes = Uint8Array<ArrayBuffer>;

/** Parts one after the other. */
export function join(...parts: Bytes[]): Bytes {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

/** A value with its tag and length. */
export function tlv(tag: number, ...parts: Bytes[]): Bytes {
  const value = join(...parts);
  const length: number[] = [];
  for (let n = value.length; n > 0; n >>>= 8) length.unshift(n & 255);
  const head = value.length < 128 ? [tag, value.length] : [tag, 128 | length.length, ...length];
  return join(new Uint8Array(head), value);
}

export const sequence = (...parts: Bytes[]): Bytes => tlv(0x30, ...parts);
export const set = (...parts: Bytes[]): Bytes => tlv(0x31, ...parts);
export const octets = (value: Bytes): Bytes => tlv(4, value);
export const bits = (value: Bytes): Bytes => tlv(3, new Uint8Array([0]), value);
export const nothing = tlv(5);

/** A tag of the context around what it holds. */
export const within = (n: number, ...parts: Bytes[]): Bytes => tlv(0xa0 | n, ...parts);

/** A whole number from its bytes, the highest first, without a sign. */
export function whole(value: Bytes): Bytes {
  let from = 0;
  while (from < value.length - 1 && value[from] === 0) from++;
  const rest = value.slice(from);
  return (rest[0] ?? 0) > 127 ? tlv(2, new Uint8Array([0]), rest) : tlv(2, rest);
}

/** A small whole number. */
export const int = (n: number): Bytes => whole(new Uint8Array([n >>> 24, n >>> 16, n >>> 8, n]));

/** An object identifier. */
export function oid(text: string): Bytes {
  const [a = 0, b = 0, ...rest] = text.split(".").map(Number);
  const out: number[] = [];
  for (const arc of [a * 40 + b, ...rest]) {
    const groups = [arc & 127];
    for (let n = Math.floor(arc / 128); n > 0; n = Math.floor(n / 128)) groups.unshift((n & 127) | 128);
    out.push(...groups);
  }
  return tlv(6, new Uint8Array(out));
}

/** Text in two bytes for each letter, the higher first (BMPString). */
export function wide(text: string): Bytes {
  const out = new Uint8Array(text.length * 2);
  for (let i = 0; i < text.length; i++) {
    out[2 * i] = text.charCodeAt(i) >> 8;
    out[2 * i + 1] = text.charCodeAt(i) & 255;
  }
  return out;
}
