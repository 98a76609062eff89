
// The figure "Storing": a small matrix as bits, field by field. The text of dom.js stands above.

const CODERS = { raw, "compressed sparse rows": sparseRows, "relative index": relative, Huffman: huffman };
const CYCLE = [0, 1, 2, -1];

// Mathematics: the same bytes as nnc.storage

const widthOf = (most) => (most ? Math.floor(Math.log2(most)) + 1 : 0);
const digits = (value, width) => (width ? value.toString(2).padStart(width, "0") : "");

function matrixOf(rows) {
  const levels = rows.flat();
  const [low, high] = [Math.min(0, ...levels), Math.max(0, ...levels)];
  return { rows, levels, low, high, columns: rows[0].length, width: widthOf(high - low) };
}

const field = (group, bits, says, cells = []) => ({ group, bits, says, cells });

/** Zeros that fill the last byte of a run of fields. */
function filled(fields) {
  const over = (8 * bytesOf(fields)) % 8;
  if (!over) return fields;
  const group = fields.at(-1).group;
  return [...fields, field(group, "0".repeat(8 - over), "zeros that fill the byte")];
}

function raw({ levels, low, high, width }) {
  const says = (level) => `${level - low} in ${width} bits: level ${level}, less the lowest, ${low}`;
  return filled(levels.map((level, i) => field("levels", digits(level - low, width), says(level), [i])));
}

function sparseRows({ rows, levels, low, columns }) {
  const lit = levels.map((_, i) => i).filter((i) => levels[i]);
  const before = (r) => lit.filter((i) => i < r * columns).length;
  const pointers = Array.from({ length: rows.length + 1 }, (_, r) => {
    const inside = lit.filter((i) => Math.floor(i / columns) === r);
    const words = r < rows.length ? `before row ${r} there are ${before(r)} non-zeros` : `in all there are ${before(r)}`;
    return field("pointers", digits(before(r), 8), words, inside);
  });
  const column = (i) => field("columns", digits(i % columns, 8), `a non-zero in column ${i % columns}`, [i]);
  const value = (i) =>
    field("values", digits(levels[i] - low, 8), `level ${levels[i]}, less the lowest, ${low}`, [i]);
  return [...pointers, ...lit.map(column), ...lit.map(value)];
}

/** Entries of a gap and a level, with bridges where a gap does not fit its bits. */
function entriesOf(levels, width) {
  const entries = [];
  let gap = 0;
  levels.forEach((level, i) => {
    const full = 2 ** width - 1;
    if (level) entries.push({ gap, level, cell: i });
    else if (gap === full && levels.slice(i).some(Boolean)) entries.push({ gap, level: 0, cell: i });
    else return (gap += 1);
    return (gap = 0);
  });
  return entries;
}

function headOf(width, count) {
  return [
    field("head", digits(width, 8), `a gap has ${width} bits`),
    field("head", digits(count, 8), `there are ${count} entries`),
  ];
}

const gapSays = ({ gap, level }) => `gap: skip ${gap} zeros${level ? "" : ", a bridge"}`;
const zeroSays = (gap) => `level 0: ${gap ? "this entry only bridges zeros" : "a zero weight"}`;
const levelSays = ({ gap, level }, low) =>
  level ? `level ${level}, less the lowest, ${low}` : zeroSays(gap);

function relative({ levels, low, width }) {
  const cost = (w) => entriesOf(levels, w).length * (w + width);
  const best = [0, 1, 2, 3, 4, 5, 6, 7, 8].reduce((a, b) => (cost(b) < cost(a) ? b : a));
  const entries = entriesOf(levels, best);
  const gaps = entries.map((one) => field("gaps", digits(one.gap, best), gapSays(one), [one.cell]));
  const value = (one) =>
    field("values", digits(one.level - low, width), levelSays(one, low), [one.cell]);
  return [...headOf(best, entries.length), ...filled(gaps), ...filled(entries.map(value))];
}

/** Length of each symbol's Huffman code: the two rarest are put together, again and again. */
export function codeLengths(counts) {
  const lengths = counts.map(() => 0);
  const heap = counts
    .map((count, symbol) => ({ count, name: symbol, some: [symbol] }))
    .filter(({ count }) => count);
  while (heap.length > 1) {
    heap.sort((a, b) => a.count - b.count || a.name - b.name);
    const [rare, common] = heap.splice(0, 2);
    const some = [...rare.some, ...common.some];
    for (const symbol of some) lengths[symbol] += 1;
    heap.push({ count: rare.count + common.count, name: rare.name, some });
  }
  return lengths;
}

/** Canonical codes: shorter ones first, those of one length in the order of their symbols. */
export function codesOf(lengths) {
  const order = lengths.map((_, symbol) => symbol).filter((symbol) => lengths[symbol]);
  order.sort((a, b) => lengths[a] - lengths[b] || a - b);
  const codes = lengths.map(() => "");
  let [code, before] = [0, 0];
  for (const symbol of order) {
    code *= 2 ** (lengths[symbol] - before);
    before = lengths[symbol];
    codes[symbol] = digits(code, before);
    code += 1;
  }
  return codes;
}

function coded(group, symbols, alphabet, name, says, cells) {
  const counts = Array.from({ length: alphabet }, (_, s) => symbols.filter((x) => x === s).length);
  const lengths = codeLengths(counts);
  const codes = codesOf(lengths);
  // Which is the only symbol has to be said, since its code has no bits.
  const only = lengths.some(Boolean) ? -1 : counts.findIndex(Boolean);
  const table = lengths.map((length, s) => {
    const words = s === only ? "is the only one" : length ? `has a code of ${length} bits: ${codes[s]}` : "does not occur";
    return field(`${group}: table`, digits(s === only ? 1 : length, 5), `${name(s)} ${words}`);
  });
  const data = filled(symbols.map((s, i) => field(`${group}: codes`, codes[s], says[i], cells[i])));
  const bytes = bytesOf(data);
  const count = field(`${group}: codes`, digits(bytes, 8), `the codes take ${bytes} bytes`);
  return [...filled(table), count, ...data.filter(({ bits }) => bits)];
}

function huffman({ levels, low, high }) {
  const at = (width) => {
    const entries = entriesOf(levels, width);
    const cells = entries.map(({ cell }) => [cell]);
    const gaps = entries.map(({ gap }) => gap);
    const values = entries.map(({ level }) => level - low);
    const gap = (s) => `gap ${s}`;
    const level = (s) => `level ${s + low}`;
    const said = entries.map(({ gap, level: l }) => (l ? level(l - low) : zeroSays(gap)));
    return [
      ...headOf(width, entries.length),
      ...coded("gaps", gaps, 2 ** width, gap, entries.map(gapSays), cells),
      ...coded("values", values, high - low + 1, level, said, cells),
    ];
  };
  const all = [0, 1, 2, 3, 4, 5, 6, 7, 8].map(at);
  return all.reduce((a, b) => (bytesOf(b) < bytesOf(a) ? b : a));
}

/** Whole bytes of some fields. */
export const bytesOf = (fields) => fields.reduce((sum, { bits }) => sum + bits.length, 0) / 8;

/** A matrix under a coder: fields of bits with what they say and which entries they speak of. */
export const encode = (rows, coder) => CODERS[coder](matrixOf(rows));

// The figure

function render({ model, el }) {
  const change = changing(model);
  const root = figureIn(el, "storing", "a small matrix as bits");
  const bar = add(root, "div", { class: "bar" });
  const choices = Object.keys(CODERS).map((coder) => [
    coder,
    button(bar, "", () => change({ coder, chosen: 0 })),
  ]);
  const scroll = add(root, "div", { class: "scroll" });
  const grid = add(scroll, "div", { class: "matrix", role: "group" });
  grid.setAttribute("aria-label", "The matrix; press an entry to change it");
  const below = add(root, "div", { class: "bar" });
  const { input: slider, caption } = range(below, "field", 0, 0, (chosen) => change({ chosen }));
  caption.textContent = "Field by field";
  const status = add(root, "p", { class: "status", role: "status" });
  const stream = add(root, "div");
  const table = tableBelow(root, "All fields");

  function turn(r, c) {
    const rows = model.get("matrix").map((row) => [...row]);
    rows[r][c] = CYCLE[(CYCLE.indexOf(rows[r][c]) + 1) % CYCLE.length];
    change({ matrix: rows, chosen: 0 });
  }

  let cells = [];
  function layout(rows) {
    if (cells.length === rows.flat().length) return;
    grid.replaceChildren();
    grid.style.gridTemplateColumns = `repeat(${rows[0].length}, 44px)`;
    cells = rows.flatMap((row, r) => row.map((_, c) => button(grid, "", () => turn(r, c))));
  }

  function draw() {
    const [rows, coder] = [model.get("matrix"), model.get("coder")];
    const all = Object.fromEntries(choices.map(([name]) => [name, encode(rows, name)]));
    const fields = all[coder];
    const chosen = Math.min(model.get("chosen"), fields.length - 1);
    const least = Math.min(...Object.values(all).map(bytesOf));
    for (const [name, node] of choices) {
      const size = bytesOf(all[name]);
      node.textContent = `${name}: ${size} bytes${size === least ? " ✓" : ""}`;
      node.setAttribute("aria-pressed", String(name === coder));
    }
    layout(rows);
    rows.flat().forEach((level, i) => {
      const [r, c] = [Math.floor(i / rows[0].length), i % rows[0].length];
      cells[i].textContent = String(level).replace("-", "−");
      cells[i].className = level ? "lit" : "";
      cells[i].classList.toggle("spoken", fields[chosen]?.cells.includes(i) ?? false);
      cells[i].setAttribute("aria-label", `row ${r}, column ${c}: ${level}`);
    });
    write(fields, chosen);
    say(fields, chosen, coder);
  }

  function write(fields, chosen) {
    stream.replaceChildren();
    let [group, line] = [null, null];
    fields.forEach((one, i) => {
      if (one.group !== group) {
        group = one.group;
        add(stream, "p", { class: "run" }, group);
        line = add(stream, "div", { class: "bits" });
      }
      const node = button(line, one.bits || "–", () => {
        change({ chosen: i });
        slider.focus({ preventScroll: true }); // this button is about to be made anew
      });
      node.setAttribute("aria-label", `${one.bits || "no bits"}: ${one.says}`);
      node.tabIndex = -1; // the slider goes through them
      if (one.says.startsWith("zeros that fill")) node.className = "padding";
      if (i === chosen) node.classList.add("spoken");
    });
  }

  function say(fields, chosen, coder) {
    slider.max = fields.length - 1;
    slider.value = chosen;
    const one = fields[chosen];
    const words = one ? `${one.group}, ${one.bits || "no bits"}: ${one.says}.` : "There are no bits.";
    status.textContent = `${coder}, ${bytesOf(fields)} bytes. ${words}`;
    slider.setAttribute("aria-valuetext", words);
    fill(table, ["field", "bits", "says"], fields.map(({ group, bits, says }) => [group, bits, says]));
  }

  return follow(model, ["matrix", "coder", "chosen"], draw);
}

export default { render };
