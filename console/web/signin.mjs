// Signs the challenge of the page with the secret, which stays in this page. docs/console.md has what is signed.
const text = s => new TextEncoder().encode(s)
const hex = b => Array.from(new Uint8Array(b), x => x.toString(16).padStart(2, '0')).join('')

// sign is HMAC-SHA256 of the parts, with a zero byte between them.
export async function sign(secret, ...parts) {
  const key = await crypto.subtle.importKey('raw', text(secret), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
  return hex(await crypto.subtle.sign('HMAC', key, text(parts.join('\0'))))
}

export function prepare(form, origin) {
  const secret = form.querySelector('#secret')
  const broken = form.querySelector('#broken')
  const explain = () => {
    broken.textContent = form.dataset.broken
    broken.hidden = false
  }
  if (!globalThis.crypto?.subtle) {
    explain()
    return
  }
  form.querySelector('button').disabled = false
  form.addEventListener('submit', async e => {
    e.preventDefault()
    try {
      form.elements.mac.value = await sign(secret.value, 'ltl/console/sign-in/v1', form.dataset.network, origin,
        form.elements.challenge.value, form.elements.id.value)
      secret.value = ''
      form.submit()
    } catch {
      explain()
    }
  })
}

if (globalThis.document) prepare(document.getElementById('sign-in'), location.origin)
