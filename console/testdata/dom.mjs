// As much of a document as the console's scripts use, so that Node runs them.
export class Element {
  constructor(name) {
    Object.assign(this, { name, children: [], dataset: {}, attributes: {}, listeners: {}, elements: {}, value: '' })
    this.classList = { add() {}, remove() {} }
  }

  append(...all) { this.children.push(...all) }
  replaceChildren(...all) { this.children = all }
  setAttribute(name, value) { this.attributes[name] = value }
  addEventListener(name, f) { this.listeners[name] = f }
  find(test) {
    if (test(this)) return this
    for (const c of this.children) {
      const found = c instanceof Element ? c.find(test) : undefined
      if (found) return found
    }
    return undefined
  }

  get text() {
    return (this.textContent ?? '') + this.children.map(c => c instanceof Element ? c.text : c).join(' ')
  }
}

export class Document extends Element {
  constructor(known) {
    super('#document')
    this.known = known
    this.documentElement = new Element('html')
  }

  createElement(name) { return new Element(name) }
  getElementById(id) { return this.known[id] ?? this.known.page?.find(e => e.id === id) ?? null }
}
