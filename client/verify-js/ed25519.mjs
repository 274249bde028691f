// Ed25519 signatures of RFC 8032: by WebCrypto where it has them, else by the arithmetic below.
import { compare, concat, subtle } from './primitives.mjs'

const p = 2n ** 255n - 19n
const order = 2n ** 252n + 27742317777372353535851937790883648493n
const mod = x => ((x % p) + p) % p

function power(base, exponent) {
  let result = 1n
  for (let b = mod(base), e = exponent; e > 0n; e >>= 1n, b = b * b % p) if ((e & 1n) === 1n) result = result * b % p
  return result
}

const d = mod(-121665n * power(121666n, p - 2n))
const rootOfMinusOne = power(2n, (p - 1n) / 4n)

const number = b => b.reduceRight((n, x) => n << 8n | BigInt(x), 0n)

// Points are [X, Y, Z, T] with x = X/Z, y = Y/Z, xy = T/Z.
function add([x1, y1, z1, t1], [x2, y2, z2, t2]) {
  const a = (y1 - x1) * (y2 - x2) % p
  const b = (y1 + x1) * (y2 + x2) % p
  const c = 2n * d * t1 % p * t2 % p
  const e = 2n * z1 * z2 % p
  return [mod((b - a) * (e - c)), mod((e + c) * (b + a)), mod((e - c) * (e + c)), mod((b - a) * (b + a))]
}

function times(n, point) {
  let sum = [0n, 1n, 1n, 0n]
  for (let q = point, k = n; k > 0n; k >>= 1n, q = add(q, q)) if ((k & 1n) === 1n) sum = add(sum, q)
  return sum
}

function decode(b) {
  const n = number(b)
  const y = mod(n & 2n ** 255n - 1n)
  const u = mod(y * y - 1n)
  const v = mod(d * y * y + 1n)
  let x = mod(u * v ** 3n * power(u * v ** 7n, (p - 5n) / 8n))
  if (mod(v * x * x) !== u) x = x * rootOfMinusOne % p
  if (mod(v * x * x) !== u) return undefined
  if ((x & 1n) !== n >> 255n) x = mod(-x)
  return [x, y, 1n, x * y % p]
}

function encode([x, y, z]) {
  const inverse = power(z, p - 2n)
  let n = y * inverse % p | (x * inverse % p & 1n) << 255n
  return Uint8Array.from({ length: 32 }, () => {
    const low = Number(n & 255n)
    n >>= 8n
    return low
  })
}

const base = decode(Uint8Array.from({ length: 32 }, (_, i) => i === 0 ? 0x58 : 0x66))
const identityY = [0n, 1n, p - 1n]

// soundKey tells whether a public key has its canonical encoding and is no point of small order. What is no point at
// all passes, as in docs/bytes.md: no signature verifies under it.
export function soundKey(key) {
  const y = number(key) & 2n ** 255n - 1n
  if (key.length !== 32 || y >= p || identityY.includes(y)) return false
  const point = decode(key)
  if (!point) return true
  const [x8, y8, z8] = times(8n, point)
  return !(x8 === 0n && y8 === z8)
}

// verifyByArithmetic is the check without cofactor, in which R is compared as bytes.
export async function verifyByArithmetic(key, message, signature) {
  const s = number(signature.subarray(32))
  const point = decode(key)
  if (s >= order || !point) return false
  const r = signature.subarray(0, 32)
  const digest = await subtle.digest('SHA-512', concat(r, key, message))
  const k = number(new Uint8Array(digest)) % order
  const [x, y, z, t] = point
  return compare(encode(add(times(s, base), times(k, [mod(-x), y, z, mod(-t)]))), r) === 0
}

// verifySignature tells whether a signature verifies under a key that soundKey accepted.
export async function verifySignature(key, message, signature) {
  if (signature.length !== 64) return false
  let imported
  try {
    imported = await subtle.importKey('raw', key, 'Ed25519', false, ['verify'])
  } catch {
    return verifyByArithmetic(key, message, signature)
  }
  return subtle.verify('Ed25519', imported, signature, message)
}
