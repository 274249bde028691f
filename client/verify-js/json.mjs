// The one spelling of JSON that docs/evidence.md gives to certificates and trust files. JSON.parse takes more: names
// that stand twice, fractions, and numbers that it rounds.
import { base64, fail } from './primitives.mjs'

// maxDepth does not count the outermost object.
const maxDepth = 9
const maxNames = 64
const maxItem = 1024
const escapes = { '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }

class Reader {
  constructor(source, word) {
    this.s = source
    this.at = 0
    this.word = word
  }

  fail(what) {
    fail(this.word, what + ' at character ' + this.at)
  }

  space() {
    while (this.at < this.s.length && ' \t\r\n'.includes(this.s[this.at])) this.at++
  }

  take(c) {
    if (this.s[this.at] !== c) return false
    this.at++
    return true
  }

  need(c) {
    if (!this.take(c)) this.fail('there is no ' + c)
  }

  match(sticky) {
    sticky.lastIndex = this.at
    const found = sticky.exec(this.s)
    if (found) this.at = sticky.lastIndex
    return found?.[0]
  }

  value(depth) {
    this.space()
    switch (this.s[this.at]) {
      case '{': return this.object(depth + 1)
      case '[': return this.array(depth + 1)
      case '"': return this.string()
    }
    const word = this.match(/true|false/y)
    return word === undefined ? this.number() : word === 'true'
  }

  number() {
    const digits = this.match(/-?[0-9]+/y)
    if (digits === undefined) this.fail('there is no value')
    const n = Number(digits)
    if (!/^(0|-?[1-9][0-9]*)$/.test(digits) || !Number.isSafeInteger(n)) this.fail('a number is not in plain decimal')
    return n
  }

  string() {
    this.need('"')
    let out = ''
    for (;;) {
      out += this.match(/[^"\\\u0000-\u001f]*/y)
      if (this.take('"')) break
      this.need('\\')
      const c = this.s[this.at++]
      if (c === 'u') {
        const code = this.match(/[0-9a-fA-F]{4}/y)
        if (code === undefined) this.fail('an escape has not four digits')
        out += String.fromCharCode(parseInt(code, 16))
      } else {
        if (c === undefined || !Object.hasOwn(escapes, c)) this.fail('there is an unknown escape')
        out += escapes[c]
      }
    }
    if (/[\ud800-\udfff]/u.test(out)) this.fail('there is half of a surrogate pair')
    return out
  }

  nested(depth) {
    if (depth > maxDepth) this.fail('the nesting is too deep')
    this.at++
    this.space()
  }

  array(depth) {
    this.nested(depth)
    const all = []
    if (this.take(']')) return all
    for (;;) {
      all.push(this.value(depth))
      this.space()
      if (this.take(']')) return all
      this.need(',')
    }
  }

  object(depth) {
    this.nested(depth)
    const all = Object.create(null)
    if (this.take('}')) return all
    for (let names = 1; ; names++) {
      this.space()
      const name = this.string()
      if (name in all) this.fail('a name stands twice')
      if (names > maxNames) this.fail('an object has too many names')
      this.space()
      this.need(':')
      all[name] = this.value(depth)
      this.space()
      if (this.take('}')) return all
      this.need(',')
    }
  }
}

// parseJSON reads a whole file. It throws a Failure with the word given.
export function parseJSON(bytes, word) {
  let source
  try {
    source = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    fail(word, 'the file is not UTF-8')
  }
  const r = new Reader(source, word)
  const value = r.value(0)
  r.space()
  if (r.at !== source.length) r.fail('something follows the end')
  return value
}

// Shape reads parsed JSON as what it has to be.
export class Shape {
  constructor(value, word, name = 'the file') {
    this.value = value
    this.word = word
    this.name = name
  }

  need(holds, what) {
    if (!holds) fail(this.word, this.name + ' is not ' + what)
  }

  // object returns a Shape for each name. Without a list of optional names it takes all.
  object(required, optional) {
    const v = this.value
    this.need(typeof v === 'object' && !Array.isArray(v), 'an object')
    const known = [...required, ...optional ?? Object.keys(v)]
    for (const n of required) if (!(n in v)) fail(this.word, this.name + ' has no ' + n)
    const all = {}
    for (const n in v) {
      if (!known.includes(n)) fail(this.word, this.name + ' has the unknown name ' + JSON.stringify(n))
      all[n] = new Shape(v[n], this.word, n)
    }
    return all
  }

  list() {
    this.need(Array.isArray(this.value), 'a list')
    return this.value.map(v => new Shape(v, this.word, 'an element of ' + this.name))
  }

  text() {
    this.need(typeof this.value === 'string', 'a text')
    return this.value
  }

  bytes() {
    const b = base64(this.text())
    this.need(b !== undefined, 'base64 in its one spelling')
    return b
  }

  count() {
    this.need(Number.isInteger(this.value) && this.value >= 0, 'a number from 0')
    return this.value
  }

  // item is absent where it would be 0.
  item() {
    this.need(Number.isInteger(this.value) && this.value >= 1 && this.value <= maxItem, 'a number from 1')
    return this.value
  }

  int32() {
    this.need(Number.isInteger(this.value) && this.value === (this.value | 0), 'a result code')
    return this.value
  }

  // publicKey is 64 lower-case hexadecimal characters.
  publicKey() {
    this.need(/^[0-9a-f]{64}$/.test(this.text()), 'a key of 64 hexadecimal characters')
    return Uint8Array.from(this.value.match(/../g), x => parseInt(x, 16))
  }
}
