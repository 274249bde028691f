// How far the signatures of a checkpoint reach: docs/evidence.md, the table of levels.
import { hex } from './primitives.mjs'

// majorities returns 'witnessed', 'certified' or 'in-block' for the keys, as hexadecimal texts, that signed a checkpoint:
// whether they are majorities at some height of the system chain from base on.
export function majorities(signers, base, trust) {
  const low = base < trust.height ? base : trust.height
  const inForce = (r, at) => r.from <= at && (r.until === undefined || at < r.until)
  const keys = [...trust.organisations.values()]
  const ranges = [...keys.flat(), ...trust.nodes.flatMap(n => n.voter)]
  const heights = new Set([low, ...ranges.flatMap(r => [r.from, r.until])])
  let level = 'in-block'
  for (const at of heights) {
    if (at === undefined || at < low || at > trust.height) continue
    const voters = trust.nodes.filter(n => n.voter.some(r => inForce(r, at)))
    const now = keys.flatMap(ks => ks.filter(k => inForce(k, at)))
    const signed = ks => 2 * ks.filter(k => signers.has(hex(k.key))).length > ks.length
    if (!signed(voters)) continue
    if (signed(now)) return 'witnessed'
    level = 'certified'
  }
  return level
}
