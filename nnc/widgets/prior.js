// The Prior figure: density, penalty and pull of a Gaussian mixture, computed here.
// A component is {mean, sigma, share}; component 0 is the zero component.

const HALF_LOG_TWO_PI = 0.5 * Math.log(2 * Math.PI);

function logJoint(w, mixture) {
  return mixture.map(({ mean, sigma, share }) =>
    Math.log(share) - Math.log(sigma) - HALF_LOG_TWO_PI - ((w - mean) / sigma) ** 2 / 2);
}

export function logDensity(w, mixture) {
  const terms = logJoint(w, mixture);
  const top = Math.max(...terms);
  return top + Math.log(terms.reduce((sum, term) => sum + Math.exp(term - top), 0));
}

export function penalty(w, mixture) {
  return -logDensity(w, mixture);
}

export function pull(w, mixture) {
  const total = logDensity(w, mixture);
  return logJoint(w, mixture).reduce((sum, term, j) =>
    sum + (Math.exp(term - total) * (w - mixture[j].mean)) / mixture[j].sigma ** 2, 0);
}

export function mixtureOf(means, sigmas, pi0) {
  const others = means.length - 1;
  return means.map((mean, j) => ({
    mean, sigma: sigmas[j],
    share: others === 0 ? 1 : j === 0 ? pi0 : (1 - pi0) / others,
  }));
}

const WIDTH = 640, TOP = 14, BOTTOM = 214, ROW = 262, LIMIT = 1, LOW = -3, HIGH = 2;
const X = (w) => ((w + LIMIT) / (2 * LIMIT)) * WIDTH;
const Y = (log10) => BOTTOM - ((Math.min(HIGH, Math.max(LOW, log10)) - LOW) / (HIGH - LOW)) * (BOTTOM - TOP);
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

function svg(name, attributes, parent) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (parent) parent.append(element);
  return element;
}

function html(name, attributes, parent) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "text") element.textContent = value;
    else element.setAttribute(key, value);
  }
  if (parent) parent.append(element);
  return element;
}

const STYLE = `
.nnc-prior{max-width:680px;font:15px/1.4 system-ui,sans-serif;color:var(--ink);background:var(--ground);
 padding:10px;border-radius:8px}
.nnc-prior svg{width:100%;height:auto;touch-action:none}
.nnc-prior .controls{display:flex;flex-wrap:wrap;gap:8px;align-items:center;margin-top:6px}
.nnc-prior button{min-height:44px;min-width:44px;padding:0 14px;border-radius:6px;border:1px solid var(--ink);
 background:transparent;color:inherit;font:inherit;cursor:pointer}
.nnc-prior label{display:flex;align-items:center;gap:8px;min-height:44px;flex:1 1 240px}
.nnc-prior input{flex:1;min-height:44px;min-width:90px}
.nnc-prior .handle:focus-visible,.nnc-prior button:focus-visible{outline:3px solid var(--other);outline-offset:2px}
.nnc-prior table{border-collapse:collapse;margin-top:8px;color:inherit;background:transparent}
.nnc-prior td,.nnc-prior th{padding:2px 10px;text-align:right;color:inherit;background:transparent}
.nnc-prior .table{max-height:220px;overflow:auto}`;

function render({ model, el }) {
  const start = {
    means: [0, ...model.get("means")], sigmas: [...model.get("sigmas")], pi0: model.get("pi_0"),
    weights: [...model.get("weights")],
  };
  const palette = model.get("palette");
  const copy = (state) => ({ ...state, means: [...state.means], sigmas: [...state.sigmas], weights: [...state.weights] });
  let state = copy(start), timer = null;

  const root = html("div", { class: "nnc-prior", role: "group", "aria-label": "A prior over weights, and the pull it puts on them" }, el);
  html("style", { text: STYLE }, root);
  const plot = svg("svg", { viewBox: `0 0 ${WIDTH} 306`, role: "group", "aria-label": "Density of the prior on a logarithmic scale, with a handle for every component" }, root);
  const back = svg("g", { "aria-hidden": "true" }, plot);
  const arrows = svg("g", { "aria-hidden": "true" }, plot);
  const handles = svg("g", {}, plot);
  const said = html("p", { "aria-live": "polite", style: "margin:4px 0;min-height:2.8em" }, root);
  const controls = html("div", { class: "controls" }, root);
  const table = html("div", { class: "table", hidden: "", tabindex: "0", role: "region", "aria-label": "Weights and their pull" }, root);

  const button = (text, action) => { const b = html("button", { type: "button", text }, controls); b.onclick = action; return b; };
  const slider = (text, low, high, step, read, write) => {
    const label = html("label", {}, controls);
    html("span", { text }, label);
    const input = html("input", { type: "range", min: low, max: high, step, "aria-label": text }, label);
    input.oninput = () => { write(+input.value); draw(); };
    return () => { input.value = read(); };
  };

  const play = button("Play", () => (timer ? stop() : (timer = setInterval(step, 60), play.textContent = "Pause")));
  button("Step", () => { stop(); step(); });
  button("Reset", () => { stop(); state = copy(start); draw(); });
  button("L2", () => { stop(); state.means = [0]; state.sigmas = [0.25]; draw(); });
  button("Mixture", () => { stop(); state = { ...copy(start), weights: state.weights }; draw(); });
  const show = button("Show as table", () => { table.hidden = !table.hidden; show.setAttribute("aria-expanded", !table.hidden); draw(); });
  const refresh = [
    slider("components", 1, 8, 1, () => state.means.length, setCount),
    slider("share of zero, π₀", 0.5, 0.999, 0.001, () => state.pi0, (value) => { state.pi0 = value; }),
    slider("width of zero, σ₀", 0.01, 0.5, 0.005, () => state.sigmas[0], (value) => { state.sigmas[0] = value; }),
  ];
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) play.hidden = true;

  function setCount(count) {
    const others = count - 1;
    state.means = [0, ...Array.from({ length: others }, (_, j) => {
      const side = j % 2 ? 1 : -1;
      return side * (0.3 + 0.2 * Math.floor(j / 2));
    })];
    state.sigmas = [state.sigmas[0], ...Array(others).fill(0.05)];
  }
  function stop() { clearInterval(timer); timer = null; play.textContent = "Play"; }
  function step() {
    const mixture = mixtureOf(state.means, state.sigmas, state.pi0);
    const narrowest = Math.min(...state.sigmas);
    // A step below the square of the narrowest width cannot overshoot its mean.
    state.weights = state.weights.map((w) => w - 0.15 * narrowest ** 2 * pull(w, mixture));
    draw();
  }

  function colours() {
    const theme = document.documentElement.dataset.theme;
    const dark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    const mode = dark ? "dark" : "light";
    root.style.setProperty("--ink", palette.weights[mode]);
    root.style.setProperty("--ground", palette.ground[mode]);
    root.style.setProperty("--zero", palette.zero[mode]);
    root.style.setProperty("--other", palette.components[mode]);
  }

  function curve(mixture, only) {
    const points = [];
    for (let x = 0; x <= WIDTH; x += 1) {
      const w = (x / WIDTH) * 2 * LIMIT - LIMIT;
      const log = only === undefined ? logDensity(w, mixture) : logJoint(w, [mixture[only]])[0];
      points.push(`${x},${Y(log / Math.LN10).toFixed(1)}`);
    }
    return points.join(" ");
  }

  function drawHandle(j) {
    const colour = j ? "var(--other)" : "var(--zero)";
    const known = handles.children[j];
    const handle = known || svg("g", { class: "handle", tabindex: "0", role: "slider", style: "cursor:grab" }, handles);
    if (!known) {
      svg("circle", { r: 24, fill: "transparent" }, handle);
      svg("circle", { r: 9, stroke: "var(--ground)", "stroke-width": 2 }, handle);
      handle.onkeydown = (event) => key(event, j);
      handle.onpointerdown = (event) => { handle.setPointerCapture(event.pointerId); event.preventDefault(); handle.focus(); };
      handle.onpointermove = (event) => { if (handle.hasPointerCapture(event.pointerId)) drag(event, j); };
    }
    const mixture = mixtureOf(state.means, state.sigmas, state.pi0);
    const height = logJoint(state.means[j], [mixture[j]])[0] / Math.LN10;
    handle.children[1].setAttribute("fill", colour);
    handle.setAttribute("transform", `translate(${X(state.means[j])} ${Y(height)})`);
    handle.setAttribute("aria-label", j ? `component ${j}` : "zero component");
    handle.setAttribute("aria-valuemin", -LIMIT);
    handle.setAttribute("aria-valuemax", LIMIT);
    handle.setAttribute("aria-valuenow", state.means[j].toFixed(3));
    handle.setAttribute("aria-valuetext", `component ${j}, mean ${state.means[j].toFixed(2)}, sigma ${state.sigmas[j].toFixed(3)}; arrows left and right move it, up and down narrow and widen it`);
  }

  function key(event, j) {
    const change = { ArrowLeft: [-0.02, 1], ArrowRight: [0.02, 1], ArrowUp: [0, 1 / 1.15], ArrowDown: [0, 1.15] }[event.key];
    if (!change) return;
    event.preventDefault();
    if (j) state.means[j] = clamp(state.means[j] + change[0], -0.95, 0.95);
    state.sigmas[j] = clamp(state.sigmas[j] * change[1], 0.01, 0.5);
    draw();
  }

  function drag(event, j) {
    const box = plot.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * WIDTH;
    const y = ((event.clientY - box.top) / box.height) * 306;
    if (j) state.means[j] = clamp((x / WIDTH) * 2 * LIMIT - LIMIT, -0.95, 0.95);
    // The handle sits on the top of its hump: higher is narrower.
    const log10 = LOW + ((BOTTOM - y) / (BOTTOM - TOP)) * (HIGH - LOW);
    const share = mixtureOf(state.means, state.sigmas, state.pi0)[j].share;
    state.sigmas[j] = clamp(share / (10 ** log10 * Math.sqrt(2 * Math.PI)), 0.01, 0.5);
    draw();
  }

  function draw() {
    const mixture = mixtureOf(state.means, state.sigmas, state.pi0);
    back.replaceChildren();
    arrows.replaceChildren();
    for (const power of [-2, 0, 2]) {
      svg("line", { x1: 0, x2: WIDTH, y1: Y(power), y2: Y(power), stroke: "var(--ink)", opacity: 0.15 }, back);
      svg("text", { x: 4, y: Y(power) + 14, "font-size": 13, fill: "var(--ink)", opacity: 0.75 }, back).textContent = `density ${10 ** power}`;
    }
    mixture.forEach((_, j) => svg("polyline", { points: curve(mixture, j), fill: "none", stroke: j ? "var(--other)" : "var(--zero)", "stroke-width": 1.5 }, back));
    svg("polyline", { points: curve(mixture), fill: "none", stroke: "var(--ink)", "stroke-width": 2.5 }, back);
    svg("line", { x1: 0, x2: WIDTH, y1: ROW, y2: ROW, stroke: "var(--ink)", opacity: 0.4 }, back);
    for (const w of [-1, -0.5, 0, 0.5, 1]) {
      svg("text", { x: clamp(X(w), 12, WIDTH - 12), y: 302, "font-size": 14, "text-anchor": "middle", fill: "var(--ink)" }, back).textContent = w;
    }
    const forces = state.weights.map((w) => -pull(w, mixture));
    state.weights.forEach((w, i) => {
      const length = Math.sign(forces[i]) * Math.min(60, 14 * Math.log10(1 + Math.abs(forces[i])));
      const y = ROW - 16 + (i % 5) * 8;
      svg("line", { x1: X(w), x2: X(w) + length, y1: y, y2: y, stroke: "var(--ink)", "stroke-width": 2, opacity: 0.8 }, arrows);
      if (Math.abs(length) > 5) {
        const tip = X(w) + length, wing = Math.sign(length) * 5;
        svg("path", { d: `M${tip} ${y}l${-wing} -3v6z`, fill: "var(--ink)" }, arrows);
      }
      svg("circle", { cx: X(w), cy: y, r: 3.5, fill: "var(--ink)" }, arrows);
    });
    while (handles.children.length > state.means.length) handles.lastChild.remove();
    state.means.forEach((_, j) => drawHandle(j));
    const total = state.weights.reduce((sum, w) => sum + penalty(w, mixture), 0);
    said.textContent = `${state.means.length === 1 ? "One Gaussian (L2)" : `${state.means.length} components`}: penalty of these ${state.weights.length} weights ${total.toFixed(1)} nats. Arrows show the pull, longer for stronger (logarithmic).`;
    refresh.forEach((set) => set());
    if (!table.hidden) fill(mixture);
  }

  function fill(mixture) {
    table.replaceChildren();
    const grid = html("table", {}, table);
    const head = html("tr", {}, grid);
    for (const text of ["weight", "penalty, nats", "force"]) html("th", { scope: "col", text }, head);
    for (const w of state.weights) {
      const row = html("tr", {}, grid);
      for (const value of [w, penalty(w, mixture), -pull(w, mixture)]) html("td", { text: value.toFixed(3) }, row);
    }
  }

  const repaint = () => { colours(); draw(); };
  const watch = new MutationObserver(repaint);
  watch.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  repaint();
  return () => { stop(); watch.disconnect(); };
}

export default { render };
