// What pages do more where scripts run: times of the reader's zone, keys, copying. Every page works without it.

for (const time of document.querySelectorAll('time[datetime]')) {
  const at = new Date(time.dateTime)
  if (!Number.isNaN(at.getTime())) time.title = at.toLocaleString(document.documentElement.lang)
}

const typing = e => e.target instanceof Element && e.target.closest('input, select, textarea, [contenteditable]') !== null

// Single keys: / searches; g and a letter follow a link of the navigation; j, k and Enter move in the first table.
let going = false
let row = -1

function move(step) {
  const rows = [...document.querySelectorAll('main tbody tr')]
  if (rows.length === 0) return
  rows[row]?.removeAttribute('aria-selected')
  row = Math.min(rows.length - 1, Math.max(0, row + step))
  rows[row].setAttribute('aria-selected', 'true')
  const link = rows[row].querySelector('a')
  if (link) link.focus()
  else rows[row].scrollIntoView({ block: 'nearest' })
}

document.addEventListener('keydown', e => {
  if (e.ctrlKey || e.metaKey || e.altKey || typing(e)) return
  if (going) {
    going = false
    document.querySelector(`[data-go="${CSS.escape(e.key)}"]`)?.click()
    return
  }
  switch (e.key) {
    case '/':
      e.preventDefault()
      document.querySelector('[data-key="/"]')?.focus()
      break
    case 'g': going = true; break
    case 'j': move(1); break
    case 'k': move(-1); break
  }
})

// A form that changes something is sent once.
for (const form of document.querySelectorAll('form[data-once]')) {
  form.addEventListener('submit', e => {
    if (form.dataset.sent) e.preventDefault()
    form.dataset.sent = 'yes'
  })
}
