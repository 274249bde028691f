// Transactions in their canonical form: docs/bytes.md, "Transaction id, network id, key id, data hash".
import { concat, fail, text } from './primitives.mjs'

const maxPayload = 983_040

// Definitions, by field number. A list is ['repeated', kind]; a kind is a name of a number or text, or a definition.
const deviceProof = { 1: 'text', 2: 'text', 3: 'text', 4: 'text', 5: 'text', 6: 'text' }
const correction = { 1: 'bytes', 2: 'text', 3: 'text', 4: 'text', 5: 'bool' }
const value = { 1: 'bytes', 2: 'uint32', 3: 'uint32' }
const related = { 1: 'text', 2: 'text', 3: 'text', 4: 'text' }
const item = { 1: 'text', 2: 'text', 3: 'text', 4: ['repeated', related] }
const organisation = { 1: 'text', 2: 'text', 3: 'bytes', 4: 'bytes', 5: 'text' }
const node = { 1: 'text', 2: 'text', 3: 'text', 4: 'bytes', 5: 'bytes' }
const predecessor = { 1: 'bytes', 2: 'uint64', 3: 'bytes', 4: 'bytes' }
const succession = { 1: 'text', 2: 'bytes', 3: 'bytes' }
const envelope = { 1: 'uint32', 2: 'text', 3: 'text', 4: 'text', 5: 'bytes', 6: 'int64', 7: 'text', 8: 'text' }
const actions = {
  20: { 1: 'text', 2: value, 3: deviceProof },
  21: { 1: 'text', 2: value, 3: 'text', 4: deviceProof, 5: correction },
  33: {
    1: 'text', 2: 'text', 3: 'int32', 4: 'bool', 5: ['repeated', item], 6: 'text', 7: deviceProof, 8: correction,
  },
  60: {
    1: 'text', 2: 'int64', 3: ['repeated', organisation], 4: ['repeated', node], 5: 'text', 6: predecessor,
    7: ['repeated', succession],
  },
}

class Fields {
  constructor(bytes) {
    this.b = bytes
    this.at = 0
  }

  varint() {
    let n = 0n
    for (let shift = 0n; ; shift += 7n) {
      if (this.at >= this.b.length || shift > 63n) fail('payload', 'a number of the payload is cut off')
      const x = this.b[this.at++]
      n |= BigInt(x & 0x7f) << shift
      if (x < 0x80) {
        if (n >= 1n << 64n || x === 0 && shift > 0n) fail('payload', 'a number of the payload has needless bytes')
        return n
      }
    }
  }

  block() {
    const n = this.varint()
    if (n > BigInt(this.b.length - this.at)) fail('payload', 'a field of the payload is cut off')
    this.at += Number(n)
    return this.b.subarray(this.at - Number(n), this.at)
  }

  content(kind) {
    if (typeof kind === 'object') return readMessage(this.block(), kind)
    if (kind === 'bytes') return this.block()
    if (kind !== 'text') return inType(this.varint(), kind)
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.block())
    } catch (e) {
      if (e instanceof TypeError) fail('payload', 'a text of the payload is not UTF-8')
      throw e
    }
  }
}

function inType(n, kind) {
  const signed = BigInt.asIntN(64, n)
  const fits = kind === 'int64' || kind === 'uint64' || kind === 'uint32' && n < 1n << 32n || kind === 'bool' && n < 2n ||
    kind === 'int32' && signed === BigInt.asIntN(32, n)
  if (!fits) fail('payload', 'a number of the payload is not within its type')
  return kind === 'int64' || kind === 'int32' ? signed : n
}

// readMessage returns the fields by their numbers; what is absent is undefined, of a list empty.
function readMessage(bytes, definition) {
  const r = new Fields(bytes)
  const all = {}
  for (const n in definition) if (Array.isArray(definition[n])) all[n] = []
  for (let before = 0n; r.at < bytes.length;) {
    const tag = r.varint()
    const n = tag >> 3n
    const kind = definition[n]
    const list = Array.isArray(kind)
    const content = list ? kind[1] : kind
    const wire = ['uint32', 'uint64', 'int32', 'int64', 'bool'].includes(content) ? 0n : 2n
    if (kind === undefined || (tag & 7n) !== wire || n < before || n === before && !list) {
      fail('payload', 'the payload is not in canonical form')
    }
    before = n
    const value = r.content(content)
    if (list) {
      all[n].push(value)
    } else {
      if (value === 0n || value.length === 0) fail('payload', 'the payload states a default')
      all[n] = value
    }
  }
  return all
}

const firstAction = 20
const lastAction = 1 << 20
const genesis = 60

// readEnvelope returns the fields of a transaction, and number and bytes of its action.
function readEnvelope(payload) {
  if (payload.length > maxPayload) fail('payload', 'the payload is too large')
  const r = new Fields(payload)
  let split = 0
  let action
  while (r.at < payload.length) {
    split = r.at
    const tag = r.varint()
    const n = Number(tag >> 3n)
    if (n < firstAction) {
      (tag & 7n) === 0n ? r.varint() : r.block()
      continue
    }
    if ((tag & 7n) !== 2n || n > lastAction) {
      fail('payload', 'the action of the payload is not in canonical form')
    }
    const content = r.block()
    if (r.at !== payload.length) fail('payload', 'the payload has more than one action')
    action = { n, content }
  }
  if (!action) fail('payload', 'the payload has no action')
  return { fields: readMessage(payload.subarray(0, split), envelope), action }
}

// readGenesis returns the fields of a genesis by their numbers.
export function readGenesis(payload) {
  const { action } = readEnvelope(payload)
  if (action.n !== genesis) fail('payload', 'the payload is no genesis')
  return readMessage(action.content, actions[genesis])
}

function varint(n) {
  const b = []
  for (let rest = n; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Uint8Array.from([...b, rest])
    b.push(rest % 128 + 128)
  }
}

// withoutSuccessions returns the payload of a genesis without field 7 of the genesis, with which it ends.
export function withoutSuccessions(payload) {
  const { content } = readEnvelope(payload).action
  const r = new Fields(content)
  let end = 0
  for (; end < content.length; end = r.at) {
    const tag = r.varint()
    if (tag >> 3n === 7n) break
    if ((tag & 7n) === 0n) r.varint()
    else r.block()
  }
  const before = payload.subarray(0, payload.length - content.length - varint(content.length).length)
  return concat(before, varint(end), content.subarray(0, end))
}

// readTransaction is check 2: it returns the chain, and of the value that is shown, if there is one, the slot with its
// bytes, or with what a payload holds in place of them.
export function readTransaction(payload, item) {
  const { fields, action } = readEnvelope(payload)
  const tx = { chain: fields[2] ?? '', submitter: fields[4] ?? '', action: action.n }
  if (fields[1] !== 1n || !/^[0-9]{16}$/.test(tx.chain) || !fields[4] || fields[5]?.length !== 16) {
    fail('payload', 'the payload has not version 1, or names no chain or submitter, or has no nonce of 16 bytes')
  }
  const { n } = action
  const content = [20, 21, 33].includes(n) ? readMessage(action.content, actions[n]) : undefined
  if (n === 33 && content[6] === undefined) {
    const shown = content[5][item]
    if (!shown) fail('payload', 'there is no such item in the upload')
    tx.value = { slot: item, bytes: text(shown[2] ?? '') }
    return tx
  }
  if (item !== 0) fail('payload', 'there is no such item')
  if (n === 20 || n === 21) tx.value = { slot: 0, commitment: content[2]?.[1], length: content[2]?.[2] ?? 0n }
  if (n === 33) tx.value = { slot: 0, bytes: text(content[6]) }
  return tx
}
