// What all figures draw with. Its text stands above each figure's own.

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

function button(parent, name, act) {
  const node = add(parent, "button", { type: "button" }, name);
  node.onclick = act;
  return node;
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

/** Draw once for several changes at a time, when they are all there. */
function soon(draw) {
  let waiting = null;
  return () => {
    waiting ??= Promise.resolve().then(() => draw((waiting = null)));
  };
}
