// The page of the verifier. It stands in one script with the verifier's modules, whose functions it calls: verify,
// readTrust, readCertificate, readTransaction. It sends nothing anywhere: the page's policy lets it connect to nothing.

function element(name, properties, ...children) {
  const e = Object.assign(document.createElement(name), properties)
  e.append(...children)
  return e
}

const fromBase64 = s => Uint8Array.from(atob(s), c => c.charCodeAt(0))
const inGroups = s => s.replace(/(.{8})(?=.)/g, '$1 ')

// flipped is the certificate with one bit of the transaction changed: what a forger would have to get past the check.
function flipped(bytes) {
  const file = JSON.parse(new TextDecoder().decode(bytes))
  const payload = fromBase64(file.payload)
  payload[payload.length - 1] ^= 1
  file.payload = btoa(String.fromCharCode(...payload))
  for (const o of file.openings) {
    const value = fromBase64(o.value)
    if (value.length > 0) value[value.length - 1] ^= 1
    o.value = btoa(String.fromCharCode(...value))
  }
  return new TextEncoder().encode(JSON.stringify(file))
}

// facts are the lines below a verdict on a certificate that holds.
function facts(words, verdict, certificate, trust) {
  const list = element('dl', {})
  const line = (name, ...what) => list.append(element('dt', { textContent: words[name] }), element('dd', {}, ...what))
  const code = s => element('code', { textContent: s })
  const c = readCertificate(certificate)
  if (c.openings.length > 0) {
    line('value', element('pre', { textContent: new TextDecoder().decode(c.openings[0].value) }))
  }
  line('transaction', code(verdict.transactionHash))
  line('chain', code(verdict.chain))
  line('height', code(verdict.height))
  line('level', words['level.' + verdict.level])
  line('endorsers', verdict.endorsers.map(e =>
    e.organisation + ' (' + new Date(e.clockMs).toISOString() + ')').join(', '))
  line('network', code(inGroups(hex(trust.networkID))))
  return list
}

// verdictOf checks a certificate and returns what to show.
async function verdictOf(words, certificate, trust) {
  const verdict = await verify(certificate, trust)
  const bad = verdict.outcome === 'invalid'
  const box = element('section', { className: 'verdict ' + (bad ? 'bad' : verdict.outcome === 'refused-transaction' ? '' : 'ok') },
    element('h2', { textContent: words['outcome.' + verdict.outcome] }))
  box.dataset.outcome = verdict.outcome
  if (bad) {
    box.dataset.word = verdict.word
    box.append(element('p', {}, words.first + ' ', element('code', { textContent: verdict.word })),
      element('p', { lang: 'en', textContent: verdict.detail }))
    return box
  }
  for (const r of verdict.reservations) box.append(element('p', { textContent: words['reservation.' + r] }))
  box.append(facts(words, verdict, certificate, trust), element('p', { textContent: words.not }))
  return box
}

// file is one of the two files that the page needs: chosen, dropped, or given with the page.
function file(words, name, bytes, changed) {
  const input = element('input', { type: 'file', id: name, accept: '.json,application/json' })
  const said = element('p', { textContent: bytes ? words[name + '.given'] : words[name + '.wanted'] })
  const box = element('fieldset', {}, element('label', { htmlFor: name, textContent: words[name] }), input, said)
  const take = async f => {
    if (!f) return
    said.textContent = f.name
    changed(new Uint8Array(await f.arrayBuffer()))
  }
  input.addEventListener('change', () => take(input.files[0]))
  box.addEventListener('dragover', e => {
    e.preventDefault()
    box.classList.add('over')
  })
  box.addEventListener('dragleave', () => box.classList.remove('over'))
  box.addEventListener('drop', e => {
    e.preventDefault()
    box.classList.remove('over')
    take(e.dataTransfer.files[0])
  })
  return box
}

function start(all) {
  const given = JSON.parse(document.getElementById('given')?.textContent ?? '{}')
  const held = {
    certificate: given.certificate && fromBase64(given.certificate), trust: given.trust && fromBase64(given.trust),
  }
  let lang = given.lang ?? (navigator.language.startsWith('zh') ? 'zh' : 'en')
  const show = () => {
    const words = all[lang]
    document.documentElement.lang = lang === 'zh' ? 'zh-CN' : 'en'
    document.title = words.title
    const result = element('div', { id: 'result' })
    result.setAttribute('aria-live', 'polite')
    // Of several checks under way only the last one shows its verdict.
    let turn = 0
    const run = async (change = b => b) => {
      const mine = ++turn
      if (!held.certificate || !held.trust) return
      let box
      try {
        if (!subtle) throw new Error(words.unable)
        box = await verdictOf(words, change(held.certificate), await readTrust(held.trust))
      } catch (e) {
        box = element('section', { className: 'verdict bad' }, element('h2', { textContent: words.cannot }),
          element('p', { textContent: e.message }))
        box.dataset.outcome = 'unreadable'
      }
      if (mine === turn) result.replaceChildren(box)
    }
    const button = (label, act, properties) => {
      const b = element('button', { type: 'button', textContent: label, ...properties })
      b.addEventListener('click', act)
      return b
    }
    document.getElementById('page').replaceChildren(
      element('h1', { textContent: words.title }), element('p', { textContent: words.about }),
      element('p', {}, ...Object.keys(all).map(l => button(all[l].name, () => {
        lang = l
        show()
      }, { lang: l === 'zh' ? 'zh-CN' : 'en' }))),
      file(words, 'certificate', held.certificate, b => {
        held.certificate = b
        run()
      }),
      file(words, 'trust', held.trust, b => {
        held.trust = b
        run()
      }),
      element('p', {}, button(words.check, () => run(), { id: 'check' }), button(words.flip, () => run(flipped), { id: 'flip' })),
      result)
    run()
  }
  show()
}
