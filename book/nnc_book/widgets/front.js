
// The figure "The front": points by group on two logarithmic axes. The text of dom.js stands above.

const EDGE = { left: 52, right: 16, top: 10, bottom: 46 }; // of the picture, in px
const NEAR = 30; // px from a pointer to a point
const SHAPES = {
  o: "M6 0A6 6 0 1 1 -6 0A6 6 0 1 1 6 0Z",
  s: "M-5 -5H5V5H-5Z",
  D: "M0 -7L7 0L0 7L-7 0Z",
  "^": "M0 -7L7 6H-7Z",
  v: "M0 7L7 -6H-7Z",
  x: "M-5 -5L5 5M-5 5L5 -5",
  "+": "M0 -7V7M-7 0H7",
  P: "M-2 -7H2V-2H7V2H2V7H-2V2H-7V-2H-2Z",
};

// Mathematics

/** A place on a logarithmic axis from the lowest to the highest value. */
export function scaleOf(values, from, to) {
  const [low, high] = [Math.min(...values) / 1.15, Math.max(...values) * 1.15].map(Math.log);
  const place = (value) => from + ((Math.log(value) - low) / (high - low)) * (to - from);
  return Object.assign(place, { low: Math.exp(low), high: Math.exp(high) });
}

const FINE = [1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 9];

/** Round numbers between two values: powers of ten, and more between them where they are few. */
export function ticksBetween(low, high) {
  const powers = [];
  for (let p = Math.floor(Math.log10(low)); p <= Math.log10(high); p++) powers.push(p);
  const steps = high / low > 300 ? [1] : high / low > 8 ? [1, 2, 5] : FINE;
  return powers
    .flatMap((p) => steps.map((step) => Number((step * 10 ** p).toPrecision(3))))
    .filter((tick) => tick >= low && tick <= high);
}

/** All points of all groups, each with its group; a point keeps its place in this list. */
export function pointsOf(series) {
  return series.flatMap((group, g) =>
    group.x.map((x, i) => ({ g, group, x, y: group.y[i], note: group.notes[i] })),
  );
}

// The figure

/** "error 2.4 %" for a label "error, %", "4,304 bytes" for one that is only a unit. */
function measured(label, value) {
  const [name, unit] = label.split(", ");
  return unit ? `${name} ${plain(value)} ${unit}` : `${plain(value)} ${name}`;
}

const plain = (value) => Number(value.toPrecision(4)).toLocaleString("en");

function render({ model, el }) {
  const [series, xlabel, ylabel] = ["series", "xlabel", "ylabel"].map((name) => model.get(name));
  const points = pointsOf(series);
  const hidden = new Set();
  let shown = []; // positions of the points that are shown, from left to right
  let places = [];

  const change = changing(model);
  const title = model.get("title");
  const root = figureIn(el, "front", title || "error against bytes");
  if (title) add(root, "p", { class: "title" }, title);
  const groups = add(root, "fieldset", { class: "groups" });
  add(groups, "legend", {}, "Show");
  series.forEach((group, g) => {
    const label = add(groups, "label");
    const box = add(label, "input", { type: "checkbox" });
    box.checked = true;
    box.onchange = () => {
      if (box.checked) hidden.delete(g);
      else hidden.add(g);
      draw();
    };
    mark(add(label, "svg", { width: 16, height: 16, viewBox: "-8 -8 16 16" }), group);
    add(label, "span", {}, group.label);
  });
  const picture = add(root, "svg", { role: "img" });
  const bar = add(root, "div", { class: "bar" });
  const { input: slider, caption } = range(bar, "point", 0, 0, (place) => choose(shown[place]));
  caption.textContent = "Point by point";
  const status = add(root, "p", { class: "status", role: "status" });
  const table = tableBelow(root, "All points that are shown");

  function mark(parent, { marker, kind, role }) {
    const style = `--tone:var(--${role})`;
    return add(parent, "path", { d: SHAPES[marker], class: `mark ${kind}`, style });
  }

  function choose(index) {
    if (index !== undefined) change({ chosen: index });
  }

  function draw() {
    shown = points.map((_, i) => i).filter((i) => !hidden.has(points[i].g));
    shown.sort((a, b) => points[a].x - points[b].x || points[a].y - points[b].y);
    slider.disabled = !shown.length;
    slider.max = Math.max(0, shown.length - 1);
    if (shown.length && !shown.includes(model.get("chosen"))) choose(shown[0]);
    const width = roomIn(root);
    const height = Math.max(300, Math.round(width * 0.62));
    picture.replaceChildren();
    put(picture, { viewBox: `0 0 ${width} ${height}`, width, height });
    const seen = shown.length ? shown.map((i) => points[i]) : points;
    const across = scaleOf(seen.map(({ x }) => x), EDGE.left, width - EDGE.right);
    const up = scaleOf(seen.map(({ y }) => y), height - EDGE.bottom, EDGE.top);
    axes(across, up, width, height);
    places = points.map(({ x, y }) => [across(x), up(y)]);
    // Results on top: trials and published figures lie below them.
    const order = [...shown].sort((a, b) => rank(a) - rank(b));
    for (const i of order) {
      const node = mark(picture, points[i].group);
      node.setAttribute("transform", `translate(${places[i].map((v) => v.toFixed(1))})`);
    }
    if (shown.length) name(across, up);
    else {
      status.textContent = "Nothing is shown.";
      picture.setAttribute("aria-label", "No points are shown");
      slider.removeAttribute("aria-valuetext");
    }
    tabulate();
  }

  const rank = (i) => ["trial", "published", "record"].indexOf(points[i].group.kind);

  function axes(across, up, width, height) {
    const bottom = height - EDGE.bottom;
    for (const tick of ticksBetween(across.low, across.high)) {
      add(picture, "path", { d: `M${across(tick)} ${EDGE.top}V${bottom}`, class: "grid" });
      const text = tick >= 10_000 ? `${plain(tick / 1000)}k` : plain(tick);
      add(picture, "text", { x: across(tick), y: bottom + 17, class: "middle" }, text);
    }
    for (const tick of ticksBetween(up.low, up.high)) {
      add(picture, "path", { d: `M${EDGE.left} ${up(tick)}H${width - EDGE.right}`, class: "grid" });
      add(picture, "text", { x: EDGE.left - 6, y: up(tick) + 4, class: "end" }, plain(tick));
    }
    const middle = { x: (EDGE.left + width) / 2, y: height - 6, class: "middle" };
    add(picture, "text", middle, `${xlabel} →, ${ylabel} ↑ (log scales)`);
  }

  /** Say which point is chosen, and show it. */
  function name(across, up) {
    const index = model.get("chosen");
    const { group, x, y, note } = points[index];
    const [px, py] = places[index];
    const d = `M${EDGE.left} ${py}H${px}V${up(up.low)}`;
    add(picture, "path", { d, class: "guide" });
    add(picture, "circle", { cx: px, cy: py, r: 11, class: "ring" });
    const words = `${group.label}, ${note}: ${measured(ylabel, y)}, ${measured(xlabel, x)}`;
    status.textContent = `${words}.`;
    slider.value = shown.indexOf(index);
    slider.setAttribute("aria-valuetext", words);
    picture.setAttribute("aria-label", `${counted(shown.length, "point")}. Chosen: ${words}`);
  }

  function tabulate() {
    const rows = shown.map((i) => points[i]);
    fill(
      table,
      ["what", "which", xlabel, ylabel],
      rows.map(({ group, note, x, y }) => [group.label, note, plain(x), plain(y)]),
    );
  }

  picture.onpointermove = picture.onpointerdown = (event) => {
    const box = picture.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const far = (i) => Math.hypot(places[i][0] - x, places[i][1] - y);
    const nearest = [...shown].sort((a, b) => far(a) - far(b))[0];
    if (nearest !== undefined && far(nearest) <= NEAR) choose(nearest);
  };

  return follow(model, ["chosen"], draw, root);
}

export default { render };
