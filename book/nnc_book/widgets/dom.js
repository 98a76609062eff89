// What all figures are made with. Its text stands above each figure's own.

/** Numbers as shares that sum to 1, in proportion to their exponentials. */
function softmax(values) {
  const top = Math.max(...values);
  const parts = values.map((value) => Math.exp(value - top));
  const sum = parts.reduce((total, part) => total + part, 0);
  return parts.map((part) => part / sum);
}

const SVG = "http://www.w3.org/2000/svg";

/** A new element at the end of another. */
function add(parent, tag, attributes = {}, content = "") {
  const inside = tag === "svg" || parent.namespaceURI === SVG;
  const node = inside ? document.createElementNS(SVG, tag) : document.createElement(tag);
  put(node, attributes);
  node.textContent = content;
  parent.append(node);
  return node;
}

function put(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
}

/** The box that holds a figure. */
function figureIn(el, name, words) {
  const root = add(el, "div", { class: `nnc-figure nnc-${name}`, role: "group" });
  root.setAttribute("aria-label", `Interactive figure: ${words}`);
  return root;
}

/** How wide a picture can be in a figure, in px. */
const roomIn = (root) => Math.max(240, Math.min(720, Math.floor(root.clientWidth - 26) || 640));

function button(parent, name, act) {
  const node = add(parent, "button", { type: "button" }, name);
  node.onclick = act;
  return node;
}

/** A slider with a caption before it. */
function range(bar, name, low, high, act) {
  const label = add(bar, "label");
  const caption = add(label, "span");
  const limits = { type: "range", min: low, max: high, "aria-label": name };
  const input = add(label, "input", limits);
  input.oninput = () => act(Number(input.value));
  return { input, caption };
}

/** Whether the reader wants no motion; asked anew, since it may change while a figure plays. */
const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** The main button of a mouse, the first finger, a pen. */
const leads = (event) => event.isPrimary && event.button <= 0;

/** "1 point", "2 points". */
const counted = (number, name) => `${number} ${name}${number === 1 ? "" : "s"}`;

/** Things to choose one of: for each its radio button and the label that holds it. */
function radioButtons(root, legend, things, act) {
  const choice = add(root, "fieldset");
  add(choice, "legend", {}, legend);
  // A name that no other figure has: each has its own copy of this text, so counting will not do.
  const group = `nnc-${Math.random().toString(36).slice(2)}`;
  return things.map(({ title, spoken }, index) => {
    const holder = add(choice, "label", { title });
    const attributes = { type: "radio", name: group, value: index, "aria-label": spoken };
    const input = add(holder, "input", attributes);
    input.onchange = () => act(index);
    return { input, holder };
  });
}

/** Fill a table: headings, then rows of text or numbers. */
function fill(table, headings, rows) {
  table.replaceChildren();
  const line = (tag, cells) => {
    const row = add(table, "tr");
    for (const cell of cells) add(row, tag, {}, cell);
  };
  line("th", headings);
  for (const row of rows) line("td", row);
}

/** "Show as table": a table that is folded away until it is asked for. */
function tableBelow(root, name) {
  const more = add(root, "details");
  add(more, "summary", {}, "Show as table");
  const holder = add(more, "div", { class: "table", tabindex: 0, role: "region" });
  holder.setAttribute("aria-label", name);
  return add(holder, "table");
}

/** Give traits of a model new values. */
const changing = (model) => (values) => {
  for (const [name, value] of Object.entries(values)) model.set(name, value);
  model.save_changes();
};

/**
 * Draw now, and again when one of the traits has changed, or the size of an element where one is
 * given. Several changes at a time are drawn once. Returns a function that ends it.
 */
function follow(model, names, draw, element = null) {
  let waiting = null;
  const later = () => {
    waiting ??= Promise.resolve().then(() => draw((waiting = null)));
  };
  for (const name of names) model.on(`change:${name}`, later);
  const watcher = new ResizeObserver(later);
  if (element) watcher.observe(element);
  draw();
  return () => {
    watcher.disconnect();
    for (const name of names) model.off(`change:${name}`, later);
  };
}
