// Puts new blocks of a chain at the top of its table, as they are made. Without it the page shows those of its moment.
const table = document.querySelector('[data-live]')
const state = document.getElementById('live')
const toggle = document.getElementById('live-toggle')
let source
let paused = false

const say = name => { state.textContent = state.dataset['said' + name] }

function cell(label, ...what) {
  const td = document.createElement('td')
  td.dataset.label = label
  td.append(...what)
  return td
}

function tag(name, properties, ...what) {
  const e = Object.assign(document.createElement(name), properties)
  e.append(...what)
  return e
}

function add(block) {
  const body = table.tBodies[0]
  const labels = [...table.tHead.rows[0].cells].map(c => c.textContent)
  const group = new Intl.NumberFormat('en', { useGrouping: true }).format(block.height).replaceAll(',', '\u202f')
  const when = new Date(block.time)
  const row = tag('tr', {},
    cell(labels[0], tag('a', { href: table.dataset.blocks + '/' + block.height }, group)),
    cell(labels[1], tag('time', { dateTime: block.time, title: when.toLocaleString() },
      block.time.slice(0, 19).replace('T', ' ') + ' UTC')),
    cell(labels[2], String(block.transactions), ...block.refused > 0
      ? [' ', tag('span', { className: 'state bad' }, table.dataset.refused.replace('%d', block.refused))] : []),
    cell(labels[3], block.organisations.join(', ')),
    cell(labels[4], tag('code', { title: block.hash }, block.hash.slice(0, 12) + '…')))
  body.prepend(row)
  while (body.rows.length > 10) body.lastElementChild.remove()
}

function open() {
  source = new EventSource(table.dataset.live)
  source.onopen = () => say('On')
  source.onerror = () => say('Off')
  source.addEventListener('block', e => add(JSON.parse(e.data)))
}

function close() {
  source?.close()
  source = undefined
}

// One stream a tab that is looked at: browsers open few connections to one host.
document.addEventListener('visibilitychange', () => {
  if (document.hidden) close()
  else if (!paused && !source) open()
})
toggle.hidden = false
toggle.addEventListener('click', () => {
  paused = !paused
  toggle.textContent = toggle.dataset[paused ? 'resume' : 'pause']
  if (paused) {
    close()
    say('Paused')
  } else open()
})
if (!document.hidden) open()
