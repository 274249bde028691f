// Bytes, hashes and RFC 6962 paths of the verifier.

// subtle is WebCrypto, which Node has as a global from version 20 on.
export const { subtle } = globalThis.crypto ?? (await import('node:crypto')).webcrypto

// Failure is the first check that failed; word names it.
export class Failure extends Error {
  constructor(word, detail) {
    super(detail)
    this.word = word
  }
}

export function fail(word, detail) {
  throw new Failure(word, detail)
}

export const text = s => new TextEncoder().encode(s)
export const view = b => new DataView(b.buffer, b.byteOffset, b.byteLength)
export const hex = b => Array.from(b, x => x.toString(16).padStart(2, '0')).join('')

export function concat(...parts) {
  const all = new Uint8Array(parts.reduce((n, p) => n + p.length, 0))
  let at = 0
  for (const p of parts) {
    all.set(p, at)
    at += p.length
  }
  return all
}

// u32 also takes a negative number, as its two's complement.
export function u32(n) {
  const b = new Uint8Array(4)
  view(b).setInt32(0, n | 0)
  return b
}

export function u64(n) {
  const b = new Uint8Array(8)
  view(b).setBigUint64(0, n)
  return b
}

// compare returns 0 for equal bytes, else another number. All that it compares is public.
export function compare(a, b) {
  if (a.length !== b.length) return a.length - b.length
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i] - b[i]
  return 0
}

export async function sha256(...parts) {
  return new Uint8Array(await subtle.digest('SHA-256', concat(...parts)))
}

// base64 reads the one spelling of RFC 4648, section 4. It returns undefined for any other text;
// loose lets spare bits be set.
export function base64(s, loose = false) {
  if (s.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(s)) return undefined
  const raw = atob(s)
  if (!loose && btoa(raw) !== s) return undefined
  return Uint8Array.from(raw, c => c.charCodeAt(0))
}

// pathLength is the number of hashes in the RFC 6962 audit path of the leaf at index of size leaves.
export function pathLength(index, size) {
  let i = BigInt(index)
  let last = BigInt(size) - 1n
  let n = 0
  for (; last > 0n; i >>= 1n, last >>= 1n) {
    if ((i & 1n) === 1n || i < last) n++
  }
  return n
}

// atPath folds an audit path of the right length over a leaf's hash.
export async function atPath(leaf, index, size, path) {
  let hash = leaf
  let i = BigInt(index)
  let last = BigInt(size) - 1n
  let at = 0
  for (; last > 0n; i >>= 1n, last >>= 1n) {
    if ((i & 1n) === 0n && i === last) continue
    const sibling = path.subarray(at, at + 32)
    at += 32
    const [left, right] = (i & 1n) === 1n ? [sibling, hash] : [hash, sibling]
    hash = await sha256(Uint8Array.of(1), left, right)
  }
  return hash
}
