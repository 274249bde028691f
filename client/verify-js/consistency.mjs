// Consistency and misbehaviour files: docs/evidence.md, "Consistency" and "Misbehaviour".
import { Failure, compare, concat, fail, hex, sha256 } from './primitives.mjs'
import { Shape, parseJSON } from './json.mjs'
import { readCheckpoint } from './checkpoint.mjs'
import { majorities } from './majorities.mjs'

const maxEvidence = 2 << 20

function readEvidence(bytes, format, fieldsOf) {
  if (bytes.length > maxEvidence) fail('size', 'the file is larger than 2 MiB')
  const root = new Shape(parseJSON(bytes, 'json'), 'json')
  if (root.value?.ltl !== format) fail('version', 'ltl is not ' + format + '; a newer verifier may read it')
  return root.object(['ltl', ...fieldsOf(root.value)], [])
}

// needOrigin checks that both checkpoints have one origin of this network.
function needOrigin(a, b, trust) {
  const own = 'ltl/' + hex(trust.networkID.subarray(0, 16)) + '/'
  const local = a.origin.startsWith(own) ? a.origin.slice(own.length) : ''
  const parts = /^[0-9]{16}(?:\/r([1-9][0-9]*))?$/.exec(local)
  if (!parts || BigInt(parts[1] ?? 0) >= 2n ** 32n || a.origin !== b.origin) {
    fail('origin', 'the checkpoints are not of one chain of this network')
  }
}

const parentOf = (left, right) => sha256(Uint8Array.of(1), left, right)

// isBeginning is the check of a consistency proof, RFC 9162, section 2.1.4.2: that the tree of b leaves with the root
// rootB begins with the tree of a leaves with the root rootA.
async function isBeginning(a, rootA, b, rootB, path) {
  if (a === b) return path.length === 0 && compare(rootA, rootB) === 0
  if (a > b || path.length % 32 !== 0 || path.length === 0) return false
  const given = (a & (a - 1n)) === 0n ? concat(rootA, path) : path
  let [f, s] = [a - 1n, b - 1n]
  while ((f & 1n) === 1n) [f, s] = [f >> 1n, s >> 1n]
  let first = given.subarray(0, 32)
  let second = first
  for (let at = 32; at < given.length; at += 32) {
    const c = given.subarray(at, at + 32)
    if (s === 0n) return false
    if ((f & 1n) === 1n || f === s) {
      first = await parentOf(c, first)
      second = await parentOf(c, second)
      while (f !== 0n && (f & 1n) === 0n) [f, s] = [f >> 1n, s >> 1n]
    } else {
      second = await parentOf(second, c)
    }
    f >>= 1n
    s >>= 1n
  }
  return s === 0n && compare(first, rootA) === 0 && compare(second, rootB) === 0
}

async function checkConsistency(bytes, trust) {
  const top = readEvidence(bytes, 'consistency/1', () => ['from', 'to', 'path'])
  const file = { from: top.from.text(), to: top.to.text(), path: top.path.bytes() }
  const from = await readCheckpoint(file.from, trust)
  const to = await readCheckpoint(file.to, trust)
  needOrigin(from, to, trust)
  if (from.size > to.size) fail('sizes', 'the first checkpoint has more blocks than the second')
  if (!await isBeginning(from.size, from.root, to.size, to.root, file.path)) {
    fail('consistency-path', 'nothing shows that the first checkpoint is the beginning of the second')
  }
  const reached = [from, to].map(c => majorities(c.signers, 0n, trust))
  const level = ['in-block', 'certified', 'witnessed'].find(l => reached.includes(l))
  return {
    outcome: level === 'witnessed' ? 'valid' : 'valid-with-reservations',
    level: level === 'in-block' ? 'consistent' : level,
    reservations: { 'in-block': ['not-certified'], certified: ['not-witnessed'], witnessed: [] }[level],
    from: String(from.size), to: String(to.size), origin: from.origin,
  }
}

const signatureLines = note => note.slice(note.lastIndexOf('\n\n') + 2).split('\n').length - 1

async function needContradiction(kind, first, second, root, path) {
  if (kind === 'two-roots') {
    if (first.size !== second.size) fail('sizes', 'the checkpoints have not one number of blocks')
    if (compare(first.root, second.root) === 0) fail('consistent', 'both checkpoints have one root')
    return
  }
  if (first.size >= second.size) fail('sizes', 'the first checkpoint has not fewer blocks than the second')
  if (root.length !== 32 || !await isBeginning(first.size, root, second.size, second.root, path)) {
    fail('consistency-path', 'the path does not lead from this root to that of the second checkpoint')
  }
  if (compare(root, first.root) === 0) fail('consistent', 'the first checkpoint is the beginning of the second')
}

// holderOf names who holds a key of the trust file, and tells whether it was ended as compromised.
function holderOf(key, trust) {
  const n = trust.nodes.find(x => hex(x.key) === key)
  if (n) return { signer: 'node/' + n.id, compromised: false }
  for (const [id, keys] of trust.organisations) {
    const k = keys.find(x => hex(x.key) === key)
    if (k) return { signer: 'org/' + id, compromised: k.until !== undefined && k.untilMs === undefined }
  }
  return undefined
}

async function checkMisbehaviour(bytes, trust) {
  const top = readEvidence(bytes, 'misbehaviour/1',
    v => ['kind', 'first', 'second', ...v.kind === 'inconsistent' ? ['root', 'path'] : []])
  const kind = top.kind.text()
  const [one, two] = [top.first.text(), top.second.text()]
  const [root, path] = [top.root?.bytes(), top.path?.bytes()]
  if (kind !== 'two-roots' && kind !== 'inconsistent') fail('kind', 'this verifier does not know the kind')
  const first = await readCheckpoint(one, trust)
  const second = await readCheckpoint(two, trust)
  needOrigin(first, second, trust)
  const [key] = first.signers
  if (signatureLines(one) !== 1 || signatureLines(two) !== 1 || key === undefined || !second.signers.has(key)) {
    fail('signer', 'the checkpoints have not one signature each by one key of the trust file')
  }
  await needContradiction(kind, first, second, root, path)
  const { signer, compromised } = holderOf(key, trust)
  return {
    outcome: compromised ? 'valid-with-reservations' : 'valid', reservations: compromised ? ['key-compromised'] : [],
    kind, signer, key, origin: first.origin,
  }
}

async function orFailure(result) {
  try {
    return await result
  } catch (e) {
    if (!(e instanceof Failure)) throw e
    return { outcome: 'invalid', word: e.word, detail: e.message }
  }
}

// verifyConsistency and verifyMisbehaviour check the bytes of a file as verify does.
export const verifyConsistency = (bytes, trust) => orFailure(checkConsistency(bytes, trust))
export const verifyMisbehaviour = (bytes, trust) => orFailure(checkMisbehaviour(bytes, trust))
