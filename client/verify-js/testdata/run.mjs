// Verifies what the tests of client/proof send, a line of JSON each, and answers a line each.
import { createInterface } from 'node:readline'
import { verifyByArithmetic, verifySignature } from '../ed25519.mjs'
import { Failure } from '../primitives.mjs'
import { readTrust, verifyFile } from '../verify.mjs'

const bytes = s => new Uint8Array(Buffer.from(s ?? '', 'base64'))
const trusts = new Map()

async function answer({ certificate, trust, key, message, signature, trustOnly }) {
  if (key !== undefined) {
    const args = [bytes(key), bytes(message), bytes(signature)]
    return { platform: await verifySignature(...args), arithmetic: await verifyByArithmetic(...args) }
  }
  if (trustOnly) {
    return readTrust(bytes(trust)).then(() => ({ taken: true }), e => {
      if (!(e instanceof Failure)) throw e
      return { taken: false, detail: e.message }
    })
  }
  if (!trusts.has(trust)) trusts.set(trust, await readTrust(bytes(trust)))
  return verifyFile(bytes(certificate), trusts.get(trust))
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await answer(JSON.parse(line))))
}
