// The command line: node main.mjs FILE --trust TRUST [--strict], where FILE is a certificate, or a consistency or
// misbehaviour file. It prints the verdict as JSON; the exit status is that of docs/evidence.md.
import { open, readFile } from 'node:fs/promises'
import { readTrust, verifyFile } from './verify.mjs'

const status = { valid: 0, 'valid-with-reservations': 0, 'refused-transaction': 3, invalid: 1 }

// readSome reads no more than is needed to see that a file is too large for a certificate.
async function readSome(name) {
  const file = await open(name)
  const chunks = []
  for await (const chunk of file.createReadStream({ end: 2 << 20 })) chunks.push(chunk)
  return new Uint8Array(Buffer.concat(chunks))
}

async function main(args) {
  const strict = args.includes('--strict')
  const rest = args.filter(a => a !== '--strict')
  const at = rest.indexOf('--trust')
  const [trustFile] = at < 0 ? [] : rest.splice(at, 2).slice(1)
  if (rest.length !== 1 || trustFile === undefined) {
    throw new Error('call it as: node main.mjs FILE --trust TRUST [--strict]')
  }
  const trust = await readTrust(new Uint8Array(await readFile(trustFile)))
  const verdict = await verifyFile(await readSome(rest[0]), trust)
  console.log(JSON.stringify(verdict, undefined, 2))
  return strict && verdict.outcome === 'valid-with-reservations' ? 1 : status[verdict.outcome]
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (e) {
  console.error(e.message)
  process.exitCode = 2
}
