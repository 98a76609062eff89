// A host for anywidget figures in the published page: no kernel, no network, no widget manager.
//
// Reads the page's widget state and every widget view that the build left in it, imports the
// figure's own module from the state (the trait _esm), and calls initialize and render as
// anywidget does. A model here is the stored state: set() tells the listeners, save_changes()
// and send() have nobody to tell. The static picture beside a view goes once the figure stands.
(() => {
  "use strict";
  const STATE = 'script[type="application/vnd.jupyter.widget-state+json"]';
  const VIEW = 'script[type="application/vnd.jupyter.widget-view+json"]';

  const decoders = {
    base64: (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)),
    hex: (text) => Uint8Array.from(text.match(/../g) ?? [], (byte) => parseInt(byte, 16)),
  };

  /** The model's traits, with binary ones put back as DataView where they were taken from. */
  function traits({ state, buffers = [] }) {
    for (const { encoding, path, data } of buffers) {
      const parent = path.slice(0, -1).reduce((value, key) => value[key], state);
      parent[path.at(-1)] = new DataView(decoders[encoding](data).buffer);
    }
    return state;
  }

  class Model {
    constructor(state) {
      this.state = state;
      this.listeners = new Map();
    }
    get(name) {
      return this.state[name];
    }
    set(name, value) {
      const changes = typeof name === "object" ? name : { [name]: value };
      const changed = Object.keys(changes).filter((key) => !same(this.state[key], changes[key]));
      Object.assign(this.state, changes);
      for (const key of changed) this.tell(`change:${key}`, this, this.state[key]);
      if (changed.length) this.tell("change", this);
    }
    on(names, callback) {
      for (const name of names.split(/\s+/)) {
        this.listeners.set(name, [...(this.listeners.get(name) ?? []), callback]);
      }
    }
    off(names, callback) {
      for (const name of names ? names.split(/\s+/) : [...this.listeners.keys()]) {
        const rest = (this.listeners.get(name) ?? []).filter((c) => callback && c !== callback);
        this.listeners.set(name, rest);
      }
    }
    tell(name, ...details) {
      for (const callback of this.listeners.get(name) ?? []) callback(...details);
    }
    save_changes() {}
    send() {}
  }

  /** Equal as JSON, so that setting a list to an equal list is no change. */
  function same(a, b) {
    return a === b || (!ArrayBuffer.isView(a) && JSON.stringify(a) === JSON.stringify(b));
  }

  /** Import a module from its text; the same text is imported once. */
  const modules = new Map();
  function load(text) {
    if (!modules.has(text)) {
      const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
      modules.set(text, import(url).finally(() => URL.revokeObjectURL(url)));
    }
    return modules.get(text);
  }

  /** The figure's methods: a default export (object or function giving one) or bare functions. */
  async function methods(text) {
    const module = await load(text);
    const made = module.default ?? module;
    return typeof made === "function" ? made() : made;
  }

  const styles = new Set();
  function addStyle(text) {
    if (!text || styles.has(text)) return;
    styles.add(text);
    document.head.append(Object.assign(document.createElement("style"), { textContent: text }));
  }

  /** One model for all views of it, initialised once. */
  const models = new Map();
  function open(id, states) {
    if (!models.has(id)) models.set(id, initialise(traits(states[id])));
    return models.get(id);
  }
  async function initialise(state) {
    const model = new Model(state);
    const figure = await methods(state._esm);
    addStyle(state._css);
    await figure.initialize?.({ model, signal: new AbortController().signal });
    return { model, figure };
  }

  async function show(view, states) {
    const { model_id: id } = JSON.parse(view.textContent);
    if (!states[id]?.state._esm) return;
    const el = document.createElement("div");
    el.className = "widget-live";
    view.after(el);
    try {
      const { model, figure } = await open(id, states);
      await figure.render({ model, el, signal: new AbortController().signal });
      view.parentElement.querySelector(":scope > .widget-fallback")?.remove();
    } catch (error) {
      el.remove();
      console.error("an interactive figure could not be shown:", error);
    }
  }

  function start() {
    const states = {};
    for (const script of document.querySelectorAll(STATE)) {
      Object.assign(states, JSON.parse(script.textContent).state);
    }
    for (const view of document.querySelectorAll(VIEW)) show(view, states);
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
