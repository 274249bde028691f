// Signed notes: docs/evidence.md, "Checkpoint".
import { verifySignature } from './ed25519.mjs'
import { base64, compare, concat, fail, hex, sha256, text, view } from './primitives.mjs'

const maxNote = 1_000_000
const maxLines = 100

// signersOf returns the keys of a trust file by the names under which they sign checkpoints of its network.
async function signersOf(trust) {
  const prefix = 'ltl/' + hex(trust.networkID.subarray(0, 16)) + '/'
  const all = trust.nodes.map(n => ({ name: prefix + 'node/' + n.id, key: n.key }))
  for (const [id, keys] of trust.organisations) {
    for (const k of keys) all.push({ name: prefix + 'org/' + id, key: k.key })
  }
  for (const s of all) s.hash = (await sha256(text(s.name + '\n'), Uint8Array.of(4), s.key)).subarray(0, 4)
  return all
}

async function verifyLine(signer, signature, body) {
  if (signature.length !== 76) return false
  const seconds = view(signature).getBigUint64(4)
  const message = concat(text('cosignature/v1\ntime ' + seconds + '\n'), text(body))
  return verifySignature(signer.key, message, signature.subarray(12))
}

// readCheckpoint is check 18: it returns origin, size, root and the keys whose signatures verified, as a set of
// hexadecimal texts.
export async function readCheckpoint(note, trust) {
  const split = note.lastIndexOf('\n\n')
  if (split < 0 || text(note).length > maxNote || !note.endsWith('\n') || /[\0-\t\v-\x1f]/.test(note)) {
    fail('checkpoint', 'the checkpoint is no signed note')
  }
  const body = note.slice(0, split + 1)
  const known = await signersOf(trust)
  const marked = note.slice(split + 2, -1).split('\n')
  const signers = new Set()
  let spelled = true
  for (const [i, line] of marked.entries()) {
    const parts = /^\u2014 ([^+\p{White_Space}]+) ([^ ]+)$/u.exec(line)
    const signature = parts && base64(parts[2], true)
    if (i >= maxLines || !signature || signature.length < 5) {
      fail('checkpoint', 'a signature line of the checkpoint does not have its form, or there are too many')
    }
    spelled &&= base64(parts[2]) !== undefined
    const signer = known.find(s => s.name === parts[1] && compare(s.hash, signature.subarray(0, 4)) === 0)
    if (!signer || signers.has(hex(signer.key))) continue
    if (!await verifyLine(signer, signature, body)) {
      fail('checkpoint-signature', 'the signature of ' + signer.name + ' does not verify')
    }
    signers.add(hex(signer.key))
  }
  const lines = /^([^\n]*)\n([1-9][0-9]*)\n([^\n]+)\n$/.exec(body)
  const root = lines && base64(lines[3])
  if (!spelled || root?.length !== 32) fail('checkpoint', 'the checkpoint does not have its one spelling')
  const size = BigInt(lines[2])
  if (size > Number.MAX_SAFE_INTEGER) fail('checkpoint', 'the size of the checkpoint is too large')
  return { origin: lines[1], size, root, signers }
}
