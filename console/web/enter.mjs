// Signs in by a one-time link, whose parts stand behind the # of the address and are sent as a form.
const form = document.getElementById('enter')
const parts = new URLSearchParams(location.hash.slice(1))
history.replaceState(null, '', location.pathname)
for (const name of ['id', 'random', 'until', 'mac']) form.elements[name].value = parts.get(name) ?? ''
if (parts.has('mac')) form.submit()
else document.getElementById('broken').hidden = false
