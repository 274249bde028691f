// Verifies certificates of records offline, as docs/evidence.md specifies it. Written from that document and
// docs/bytes.md alone; it shares no code with the Go package client/proof. For Node 18 and later and for browsers; no
// dependency. It needs crypto.subtle, which browsers offer on https, localhost and local files.
//
//   node main.mjs CERTIFICATE --trust FILE [--strict]
import { Failure, atPath, compare, concat, fail, hex, pathLength, sha256, text, u32, u64, view }
  from './primitives.mjs'
import { verifySignature } from './ed25519.mjs'
import { Shape, parseJSON } from './json.mjs'
import { readTransaction } from './payload.mjs'
import { readTrust } from './trust.mjs'
import { readCheckpoint } from './checkpoint.mjs'
import { majorities } from './majorities.mjs'
import { verifyConsistency, verifyMisbehaviour } from './consistency.mjs'

const maxCertificate = 2 << 20
const endorsementLifeMs = 120_000n
const clockSpreadMs = 60_000n

// readCertificate is check 1.
export function readCertificate(bytes) {
  if (bytes.length > maxCertificate) fail('size', 'the file is larger than 2 MiB')
  const root = new Shape(parseJSON(bytes, 'json'), 'json')
  if (root.value?.ltl !== 'certificate/1') fail('version', 'ltl is not certificate/1; a newer verifier may read it')
  const top = root.object(['ltl', 'payload', 'batch', 'endorsements', 'block', 'openings'],
    ['item', 'log', 'checkpoint', 'info'])
  const c = {
    payload: top.payload.bytes(), item: top.item ? top.item.item() : 0,
    openings: top.openings.list().map(o => {
      const f = o.object(['slot', 'value'], ['salt'])
      const salt = f.salt?.bytes()
      if (salt && salt.length !== 16) fail('json', 'a salt has not 16 bytes')
      return { slot: f.slot.count(), salt, value: f.value.bytes() }
    }),
    endorsements: top.endorsements.list().map(e => {
      const f = e.object(['statement', 'signature', 'index', 'path', 'height', 'flags', 'bitmap'], [])
      return {
        statement: f.statement.bytes(), signature: f.signature.bytes(), index: f.index.count(),
        path: f.path.bytes(), height: BigInt(f.height.count()), flags: f.flags.count(), bitmap: f.bitmap.bytes(),
      }
    }),
  }
  if (c.endorsements.length < 1 || c.endorsements.length > 64) fail('json', 'there are not 1 to 64 endorsements')
  const batch = top.batch.object(['count', 'index', 'path'], [])
  c.batch = { count: batch.count.count(), index: batch.index.count(), path: batch.path.bytes() }
  const block = top.block.object(['header', 'index', 'result', 'path'], [])
  c.block = {
    header: block.header.bytes(), index: block.index.count(), result: block.result.int32(), path: block.path.bytes(),
  }
  if (!top.checkpoint !== !top.log) fail('json', 'log and checkpoint stand together or not at all')
  if (top.checkpoint) {
    c.checkpoint = top.checkpoint.text()
    if (c.checkpoint === '') fail('json', 'an empty checkpoint is written by leaving it out')
    c.log = top.log.object(['path'], []).path.bytes()
  }
  return c
}

const digits = s => /^[0-9]{16}$/.test(s)
const latin = b => String.fromCharCode(...b)

async function readHeader(b) {
  const chain = b.length === 221 ? latin(b.subarray(33, 49)) : ''
  if (b.length !== 221 || b[0] !== 2 || !digits(chain)) fail('header', 'the header does not have its form')
  const v = view(b)
  const at = offset => v.getBigUint64(offset)
  const h = {
    network: b.subarray(1, 33), chain, height: at(49), time: v.getBigInt64(57), count: v.getUint32(97),
    root: b.subarray(101, 133), systemHeight: at(197), sequence: at(205), reference: v.getBigInt64(213),
    hash: await sha256(Uint8Array.of(0), b),
  }
  if (h.time < 0n || h.reference < 0n) fail('header', 'a time of the header is negative')
  return h
}

function readStatement(b) {
  const length = b[93] ?? 0
  if (b.length < 95 || b[0] !== 2 || length < 1 || length > 32 || b.length !== 94 + length) {
    fail('statement', 'a statement does not have its form')
  }
  const v = view(b)
  const s = {
    network: b.subarray(1, 33), root: b.subarray(33, 65), leaves: v.getUint32(65), systemHeight: v.getBigUint64(69),
    clock: v.getBigInt64(77), keyID: hex(b.subarray(85, 93)), organisation: latin(b.subarray(94)),
  }
  if (s.leaves < 1 || s.leaves > 64 || s.clock < 0n) fail('statement', 'a statement does not have its form')
  return s
}

function checkBitmap(e, count) {
  const spare = e.bitmap.length * 8 - count
  const last = e.bitmap[e.bitmap.length - 1]
  if (e.flags > 1 || spare < 0 || spare > 7 || (last & ((1 << spare) - 1)) !== 0) {
    fail('statement', 'flags or bitmap of an endorsement do not have their form')
  }
}

// counted tells whether a key counted for what a statement says in a block with this header.
function counted(key, s, h) {
  if (s.systemHeight < key.from) return false
  if (key.until === undefined) return true
  const own = h.chain === '0000000000000000' && h.height > 0n
  if ((own ? h.systemHeight - 1n : h.systemHeight) < key.until) return true
  return key.untilMs !== undefined && s.systemHeight < key.until && s.clock <= key.untilMs
}

// mayBeLate tells whether the transaction is a proposal or a vote: field 54 to 57 on the system chain.
function mayBeLate(tx, h) {
  return h.chain === '0000000000000000' && tx.action >= 54 && tx.action <= 57
}

// signsItself tells whether the action may hold a signature of the submitter's organisation in place of its endorsement:
// field 61 or 63 on the system chain.
function signsItself(tx, h) {
  return h.chain === '0000000000000000' && (tx.action === 61 || tx.action === 63)
}

async function verifyEndorsement(e, c, h, trust, batchRoot, late) {
  const s = readStatement(e.statement)
  if (compare(s.network, trust.networkID) !== 0) fail('network', 'a statement names another network')
  checkBitmap(e, c.batch.count)
  if (e.index >= s.leaves || e.path.length !== 32 * pathLength(e.index, s.leaves)) {
    fail('path', 'the path of an endorsement does not have its length')
  }
  const leaf = await sha256(text('\0ltl/batchleaf/v2\0' + h.chain), batchRoot, u32(c.batch.count), u64(e.height),
    Uint8Array.of(e.flags), e.bitmap)
  if (compare(await atPath(leaf, e.index, s.leaves, e.path), s.root) !== 0) {
    fail('batch-root', 'an endorsement is not about this batch')
  }
  const key = trust.organisations.get(s.organisation)?.find(k => k.id === s.keyID)
  if (!key) fail('key-unknown', 'the trust file has no such key of ' + JSON.stringify(s.organisation))
  if (!counted(key, s, h)) fail('key-expired', 'the key of ' + s.organisation + ' did not count')
  if (!await verifySignature(key.key, concat(text('ltl/endorsement/v2\0'), e.statement), e.signature)) {
    fail('endorsement-signature', 'the signature of ' + s.organisation + ' does not verify')
  }
  if ((e.bitmap[c.batch.index >> 3] & (0x80 >> (c.batch.index & 7))) === 0) {
    fail('not-accepted', s.organisation + ' did not accept the transaction')
  }
  if (e.height > h.height || s.systemHeight > h.systemHeight) fail('height', 'an endorsement is from above the block')
  const later = h.time > h.reference ? h.time : h.reference
  if (later - s.clock > endorsementLifeMs && !late) fail('time', 'an endorsement expired before the block')
  return { organisation: s.organisation, clockMs: Number(s.clock), clock: s.clock, key: hex(key.key) }
}

// lostBy returns the restoration that lost the block, of those after the one that the origin names; undefined when it
// was kept. An origin that names none of this network's is no origin of the chain.
function lostBy(origin, h, trust) {
  const plain = 'ltl/' + hex(trust.networkID.subarray(0, 16)) + '/' + h.chain
  const after = origin === plain ? -1 : trust.restorations.findIndex(r => origin === plain + '/r' + r.number)
  if (after < 0 && origin !== plain) fail('origin', 'the checkpoint is of another network, chain or restoration')
  return trust.restorations.slice(after + 1).find(r => h.sequence >= r.blocks)
}

// timeReservations compares the times of the header with the clocks of the endorsements.
function timeReservations(endorsers, h) {
  const words = []
  if (endorsers.length === 0) return words
  const earliest = endorsers.map(e => e.clock).reduce((a, b) => a < b ? a : b)
  const later = h.time > h.reference ? h.time : h.reference
  if (later - earliest > endorsementLifeMs) words.push('time-ahead')
  if (earliest - h.time > clockSpreadMs) words.push('time-stands')
  return words
}

async function verifyCheckpoint(c, h, trust) {
  const note = await readCheckpoint(c.checkpoint, trust)
  const lost = lostBy(note.origin, h, trust)
  if (h.height >= note.size || c.log.length !== 32 * pathLength(h.height, note.size) ||
    compare(await atPath(h.hash, h.height, note.size, c.log), note.root) !== 0) {
    fail('log-path', 'the block is not in the checkpoint')
  }
  if (lost) fail('abandoned', 'the block was certified, and lost by restoration ' + lost.number)
  return majorities(note.signers, h.systemHeight, trust)
}

// checkOpenings is check 3. It returns whether the value of the record is withheld.
async function checkOpenings(openings, { chain, value }) {
  const commits = value !== undefined && value.bytes === undefined
  if (openings.length === 0 && (!value || commits)) return commits
  const o = openings[0]
  if (!value || openings.length !== 1 || o.slot !== value.slot || !utf8(o.value)) {
    fail('opening', 'the openings are not the value of the record')
  }
  const right = commits
    ? value.commitment && o.salt && BigInt(o.value.length) === value.length && compare(value.commitment,
      await sha256(text('ltl/value/v1\0'), text(chain), u32(o.slot), o.salt, u32(o.value.length), o.value)) === 0
    : !o.salt && compare(o.value, value.bytes) === 0
  if (!right) fail('opening', 'the opening is not the value of the record')
  return false
}

function utf8(bytes) {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    return true
  } catch (e) {
    if (e instanceof TypeError) return false
    throw e
  }
}

async function check(bytes, trust) {
  const c = readCertificate(bytes)
  const tx = readTransaction(c.payload, c.item)
  const withheld = await checkOpenings(c.openings, tx)
  const h = await readHeader(c.block.header)
  if (compare(h.network, trust.networkID) !== 0) fail('network', 'the block is of another network')
  if (h.chain !== tx.chain) fail('chain', 'the block is of another chain')
  const { count, index, path } = c.batch
  if (index >= count || count > 1024) fail('index', 'there is no such place in the batch')
  if (path.length !== 32 * pathLength(index, count)) fail('path', 'the path in the batch does not have its length')
  const id = await sha256(text('ltl/tx/v1\0'), c.payload)
  const batchRoot = await atPath(await sha256(Uint8Array.of(0), id), index, count, path)
  const endorsers = []
  for (const e of c.endorsements) endorsers.push(await verifyEndorsement(e, c, h, trust, batchRoot, mayBeLate(tx, h)))
  for (const field of ['organisation', 'key']) {
    if (new Set(endorsers.map(e => e[field])).size !== endorsers.length) fail('twice', 'an organisation stands twice')
  }
  const sender = tx.submitter.split('/')[0]
  if (!endorsers.some(e => e.organisation === sender) && !signsItself(tx, h)) {
    fail('submitter', 'the organisation of ' + JSON.stringify(tx.submitter) + ', which sent the transaction, did not sign')
  }
  const outcome = await sha256(Uint8Array.of(0), id, u32(c.block.result), batchRoot)
  if (c.block.index >= h.count || c.block.path.length !== 32 * pathLength(c.block.index, h.count) ||
    compare(await atPath(outcome, c.block.index, h.count, c.block.path), h.root) !== 0) {
    fail('block-path', 'the transaction is not in the block with this result')
  }
  const level = c.checkpoint === undefined ? 'in-block' : await verifyCheckpoint(c, h, trust)
  const reservations = []
  if (level === 'in-block') reservations.push('not-certified')
  if (level === 'certified') reservations.push('not-witnessed')
  if (h.systemHeight > trust.height) reservations.push('trust-older-than-record')
  reservations.push(...timeReservations(endorsers, h))
  const sound = reservations.length > 0 ? 'valid-with-reservations' : 'valid'
  return {
    outcome: c.block.result === 200 ? sound : 'refused-transaction', level, reservations, transactionHash: hex(id),
    chain: h.chain, height: String(h.height), result: c.block.result,
    ...(withheld ? { withheld } : {}), endorsers: endorsers.map(({ organisation, clockMs }) => ({ organisation, clockMs })),
  }
}

// verifyFile checks the bytes of any file by the format that it names; one that names none is taken for a certificate.
export function verifyFile(bytes, trust) {
  let format
  try {
    format = bytes.length > maxCertificate ? undefined : parseJSON(bytes, 'json')?.ltl
  } catch (e) {
    if (!(e instanceof Failure)) throw e
  }
  if (format === 'consistency/1') return verifyConsistency(bytes, trust)
  if (format === 'misbehaviour/1') return verifyMisbehaviour(bytes, trust)
  return verify(bytes, trust)
}

// verify checks the bytes of a certificate under a trust file that readTrust read. It returns an object with outcome:
// of an invalid certificate with word and detail, else with level and reservations.
export async function verify(certificate, trust) {
  try {
    return await check(certificate, trust)
  } catch (e) {
    if (!(e instanceof Failure)) throw e
    return { outcome: 'invalid', word: e.word, detail: e.message }
  }
}

export { readTrust }
