// Runs the console's scripts on what the tests send as JSON, and prints what became of it.
import { readFileSync } from 'node:fs'
import { Document, Element } from './dom.mjs'

const dataURL = script => 'data:text/javascript;base64,' + Buffer.from(script).toString('base64')

// signIn fills in the form as a visitor does and returns what would be sent.
async function signIn({ script, network, origin, challenge, id, secret }) {
  const field = { secret: new Element('input'), broken: new Element('p'), button: new Element('button') }
  field.secret.value = secret
  field.button.disabled = true
  const form = new Element('form')
  form.dataset = { network, broken: 'no cryptography' }
  form.elements = { id: { value: id }, challenge: { value: challenge }, mac: { value: '' } }
  form.querySelector = s => field[s.replace('#', '')]
  const sent = new Promise(resolve => { form.submit = () => resolve(form.elements.mac.value) })
  globalThis.document = new Document({ 'sign-in': form })
  globalThis.location = { origin }
  await import(dataURL(script))
  if (field.button.disabled) throw new Error('the button stays disabled')
  let prevented = false
  await form.listeners.submit({ preventDefault: () => { prevented = true } })
  return { mac: await sent, prevented, left: field.secret.value }
}

// verifyPage loads a page of the verifier with what it begins with and returns its verdict, and the one after one bit of
// the certificate was changed. What the page would connect to is refused.
async function verifyPage({ page }) {
  const given = new Element('script')
  given.textContent = /<script type="application\/json" id="given">([^]*?)<\/script>/.exec(page)[1]
  const script = /<script type="module">([^]*?)<\/script>/.exec(page)[1]
  globalThis.document = new Document({ given, page: new Element('main') })
  globalThis.fetch = globalThis.XMLHttpRequest = globalThis.WebSocket = () => { throw new Error('the page connects') }
  await import(dataURL(script))
  const verdict = async () => {
    for (let i = 0; i < 500; i++) {
      const box = document.known.page.find(e => e.name === 'section')
      if (box) return box
      await new Promise(resolve => setTimeout(resolve, 10))
    }
    throw new Error('there is no verdict')
  }
  const said = box => ({ outcome: box.dataset.outcome, word: box.dataset.word, text: box.text })
  const before = said(await verdict())
  document.getElementById('result').replaceChildren()
  document.getElementById('flip').listeners.click()
  return { before, after: said(await verdict()), title: document.title, lang: document.documentElement.lang }
}

const input = JSON.parse(readFileSync(0, 'utf8'))
console.log(JSON.stringify(await (input.page ? verifyPage(input) : signIn(input))))
