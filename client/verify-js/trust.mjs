// Trust files: docs/evidence.md, "Trust file".
import { Shape, parseJSON } from './json.mjs'
import { soundKey, verifySignature } from './ed25519.mjs'
import { readGenesis, withoutSuccessions } from './payload.mjs'
import { concat, fail, hex, sha256, text, u32 } from './primitives.mjs'

const maxTrust = 16 << 20

const keyID = async key => hex((await sha256(text('ltl/key/v1\0'), key)).subarray(0, 8))

function range(f) {
  const r = { from: BigInt(f.from.count()) }
  if (f.until) r.until = BigInt(f.until.count())
  if (f.until && r.until <= r.from) fail('trust', 'a range of the trust file ends before it begins')
  return r
}

// graceOf is the clock up to which what a key signed before its end still counts.
function graceOf(h) {
  if (!h.untilMs) return undefined
  const untilMs = BigInt(h.untilMs.count())
  if (untilMs === 0n || !h.until) fail('trust', 'untilMs is 0, or the key has not ended')
  return untilMs
}

function needOrder(ranges) {
  for (const [i, r] of ranges.entries()) {
    const before = ranges[i - 1]
    if (before && (before.until === undefined || r.from < before.until)) fail('trust', 'two ranges overlap')
  }
}

// needHolders checks that every organisation and node has an id of its own, and its keys and ranges in order.
function needHolders({ organisations, nodes }) {
  for (const all of [organisations, nodes]) {
    const ids = all.map(x => x.id)
    if (ids.length === 0 || ids.includes('') || new Set(ids).size !== ids.length) {
      fail('trust', 'the trust file has no organisation or no node, or one without an id, or twice')
    }
  }
  for (const o of organisations) {
    if (o.keys.length === 0) fail('trust', 'an organisation of the trust file has no key')
    needOrder(o.keys)
  }
  for (const n of nodes) needOrder(n.voter)
}

// restorationsOf reads the list of restorations, whose numbers and blocks rise.
function restorationsOf(list) {
  const all = list.map(r => {
    const f = r.object(['number', 'blocks'], [])
    return { number: f.number.count(), blocks: BigInt(f.blocks.count()) }
  })
  for (const [i, r] of all.entries()) {
    const before = all[i - 1] ?? { number: 0, blocks: 0n }
    if (r.number <= before.number || r.blocks <= before.blocks || r.number >= 2 ** 32) {
      fail('trust', 'the restorations are not in order, or a number is out of its range')
    }
  }
  return all
}

function history(shape) {
  const f = shape.object(['height', 'organisations', 'nodes'], ['restorations'])
  return {
    restorations: f.restorations ? restorationsOf(f.restorations.list()) : [],
    height: BigInt(f.height.count()),
    organisations: f.organisations.list().map(o => {
      const g = o.object(['id', 'keys'], [])
      return {
        id: g.id.text(),
        keys: g.keys.list().map(k => {
          const h = k.object(['key', 'from'], ['until', 'untilMs'])
          return { key: h.key.publicKey(), ...range(h), untilMs: graceOf(h) }
        }),
      }
    }),
    nodes: f.nodes.list().map(n => {
      const g = n.object(['id', 'organisation', 'key', 'voter'], [])
      return {
        id: g.id.text(), organisation: g.organisation.text(), key: g.key.publicKey(),
        voter: g.voter.list().map(v => range(v.object(['from'], ['until']))),
      }
    }),
  }
}

function needGenesisKeys(now, genesis) {
  for (const o of genesis.organisations) {
    const first = now.organisations.find(x => x.id === o.id)?.keys[0]
    if (!first || hex(first.key) !== hex(o.keys[0].key)) fail('trust', 'the history lacks a first key of the genesis')
  }
  for (const n of genesis.nodes) {
    if (!now.nodes.some(x => x.id === n.id && hex(x.key) === hex(n.key))) {
      fail('trust', 'the history lacks a node of the genesis')
    }
  }
}

const long = b => concat(u32(b.length), b)

// needSuccession checks what a genesis says of the network that it continues, and every signature there.
async function needSuccession(payload, said) {
  const [p, signed] = [said[6], said[7]]
  if (!p) {
    if (signed.length > 0) fail('trust', 'the genesis has signatures and no predecessor')
    return
  }
  const isHash = b => b !== undefined && b.length === 32
  if (!isHash(p[1]) || p[2] === undefined || !isHash(p[3]) || !isHash(p[4]) || signed.length !== said[3].length) {
    fail('trust', 'the predecessor does not have its form, or not every organisation has signed')
  }
  const unsigned = withoutSuccessions(payload)
  for (const [i, s] of signed.entries()) {
    const id = s[1] ?? ''
    if (id !== (said[3][i][1] ?? '') || !s[2] || !s[3] || !soundKey(s[2])) {
      fail('trust', 'a signature under the genesis does not have its form')
    }
    const message = concat(text('ltl/succeed/v1\0'), p[1], long(text(id)), long(unsigned))
    if (!await verifySignature(s[2], message, s[3])) fail('trust', 'a signature under the genesis is wrong')
  }
  if (new Set(signed.map(s => hex(s[2]))).size !== signed.length) fail('trust', 'one key signed the genesis twice')
}

// readTrust reads the bytes of a trust file. It throws a Failure where it has another form.
export async function readTrust(bytes) {
  if (bytes.length > maxTrust) fail('trust', 'the trust file is larger than 16 MiB')
  const f = new Shape(parseJSON(bytes, 'trust'), 'trust').object(['genesis', 'networkId', 'network'],
    ['organisations', 'nodes', 'learned', 'history'])
  const payload = f.genesis.bytes()
  const said = readGenesis(payload)
  const networkID = await sha256(text('ltl/genesis/v1\0'), payload)
  if (hex(networkID) !== f.networkId.text() || f.network.text() !== (said[1] ?? '')) {
    fail('trust', 'the trust file names another network than its genesis')
  }
  const none = new Uint8Array()
  const genesis = {
    height: 0n, restorations: [],
    organisations: said[3].map(o => ({ id: o[1] ?? '', keys: [{ key: o[4] ?? none, from: 0n }] })),
    nodes: said[4].map(n => ({ id: n[1] ?? '', key: n[4] ?? none, voter: [{ from: 0n }] })),
  }
  await needSuccession(payload, said)
  const now = f.history ? history(f.history) : genesis
  needHolders(now)
  needGenesisKeys(now, genesis)
  const holders = [...now.organisations.flatMap(o => o.keys), ...now.nodes]
  for (const k of holders) {
    if (!soundKey(k.key)) fail('trust', 'a key of the trust file is no sound Ed25519 key')
  }
  if (new Set(holders.map(k => hex(k.key))).size !== holders.length) fail('trust', 'a key stands twice')
  for (const o of now.organisations) for (const k of o.keys) k.id = await keyID(k.key)
  return {
    networkID, height: now.height, nodes: now.nodes, restorations: now.restorations, organisations: new Map(now.organisations.map(o => [o.id, o.keys])),
  }
}
