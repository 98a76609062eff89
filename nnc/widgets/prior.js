// The figure "Prior": one Gaussian or a mixture, its density, its penalty and its pull on weights.
// Everything is computed here from the traits; nothing is asked of a kernel.

const LIMIT = 0.6; // of the weight axis
const REACH = 0.5; // of the means
const SIGMAS = [0.01, 0.4];
const SHARES = [0.05, 0.999]; // of pi_0, on a logit scale
const MOST = 8; // components
const SPARE = [0.2, -0.2, 0.4, -0.4, 0.1, -0.1, 0.3]; // where added components appear
const L2 = { means: [0], sigmas: [0.2] };
const MIXTURE = { means: [0, -0.4, -0.2, 0.2, 0.4], sigmas: [0.02, 0.04, 0.04, 0.04, 0.04], pi_0: 0.8 };
const Y = { density: [26, 182], means: 190, sigmas: 234, penalty: [308, 412], row: 440 }; // in px

// Mathematics: the same as nnc.priors.Mixture, to 1e-9

/** The mixture that the traits stand for: the zero component has pi_0, the others share the rest. */
export function mixtureOf(means, sigmas, pi_0) {
  const others = means.length - 1;
  const proportions = means.map((_, j) => (others === 0 ? 1 : j === 0 ? pi_0 : (1 - pi_0) / others));
  return { means, sigmas, proportions };
}

/** log(pi_j N(x | mu_j, sigma_j²)) for every component j. */
export function logParts(x, { means, sigmas, proportions }) {
  return means.map((mean, j) => {
    const z = (x - mean) / sigmas[j];
    return Math.log(proportions[j]) - Math.log(sigmas[j] * Math.sqrt(2 * Math.PI)) - (z * z) / 2;
  });
}

/** log p(x) in nats, with the largest term taken out of the sum. */
export function logDensity(x, mixture) {
  const parts = logParts(x, mixture);
  const top = Math.max(...parts);
  return top + Math.log(parts.reduce((sum, part) => sum + Math.exp(part - top), 0));
}

/** -log p(x), what a weight at x adds to the penalty. */
export function penalty(x, mixture) {
  return -logDensity(x, mixture);
}

/** r_j(x), the share of each component in p(x). */
export function responsibilities(x, mixture) {
  const total = logDensity(x, mixture);
  return logParts(x, mixture).map((part) => Math.exp(part - total));
}

/** d(-log p)/dx = sum_j r_j (x - mu_j) / sigma_j². A weight is moved against it. */
export function pull(x, mixture) {
  const { means, sigmas } = mixture;
  return responsibilities(x, mixture).reduce(
    (sum, share, j) => sum + (share * (x - means[j])) / sigmas[j] ** 2,
    0,
  );
}

/** One step of gradient descent, short enough for the narrowest component. */
export function step(weights, mixture) {
  const rate = Math.min(...mixture.sigmas) ** 2 / 4;
  return weights.map((w) => clamp(w - rate * pull(w, mixture), -LIMIT, LIMIT));
}

// Small helpers

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const logit = (share) => Math.log(share / (1 - share));
const text = (value, digits = 2) => Number(value.toFixed(digits)).toString().replace("-", "−");
const spoken = (value) => Number(value.toFixed(3)).toString();
const kind = (j, count) => (count === 1 ? "l2" : j === 0 ? "zero" : "components");

function html(parent, tag, properties = {}) {
  const node = Object.assign(document.createElement(tag), properties);
  parent.append(node);
  return node;
}

function svg(parent, tag, attributes = {}, content) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  put(node, attributes);
  if (content !== undefined) node.textContent = content;
  parent.append(node);
  return node;
}

function put(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
}

// The figure

function render({ model, el }) {
  const names = ["means", "sigmas", "pi_0", "weights"];
  const { weights: start, ...given } = Object.fromEntries(names.map((n) => [n, model.get(n)]));
  const mixed = given.means.length > 1 ? given : MIXTURE;
  let steps = 0;
  let timer = null;
  let linear = false;
  let drawn = null; // what the last drawing was laid out for
  let grabbed = null; // the handle under the pointer

  const root = html(el, "div", { className: "nnc-figure nnc-prior" });
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", "Interactive figure: a prior over weights and its pull");

  // Controls above the picture.
  const bar = html(root, "div", { className: "bar" });
  const button = (parent, name, act) =>
    html(parent, "button", { type: "button", textContent: name, onclick: act });
  button(bar, "L2", () => change(L2));
  button(bar, "Mixture", () => change(mixed));
  const scale = button(bar, "", () => {
    linear = !linear;
    draw();
  });
  const range = (name, low, high, act) => {
    const label = html(bar, "label");
    const caption = html(label, "span");
    const input = html(label, "input", { type: "range", min: low, max: high, step: 1 });
    input.setAttribute("aria-label", name);
    input.oninput = () => act(Number(input.value));
    return { input, caption };
  };
  const number = range("number of components", 1, MOST, resize);
  const share = range("pi 0, share of the zero component", 0, 200, (value) => {
    const [low, high] = SHARES.map(logit);
    change({ pi_0: 1 / (1 + Math.exp(-(low + ((high - low) * value) / 200))) });
  });

  const legend = html(root, "p", { className: "legend" });
  const picture = svg(root, "svg", { role: "group" });
  const status = html(root, "p", { className: "status" });
  status.setAttribute("role", "status");

  // Controls below it.
  const below = html(root, "div", { className: "bar" });
  const play = button(below, "Play", () => (timer ? stop() : run()));
  play.className = "play";
  button(below, "Step", () => {
    stop();
    advance();
  });
  button(below, "Reset weights", () => {
    stop();
    steps = 0;
    change({ weights: start });
  });
  const more = button(below, "Show as table", () => {
    table.hidden = !table.hidden;
    draw();
  });
  const table = html(root, "div", { className: "table", hidden: true, tabIndex: 0 });
  put(table, { role: "region", "aria-label": "The figure as tables" });

  // State

  function now() {
    const means = model.get("means");
    const sigmas = model.get("sigmas");
    const count = Math.min(means.length, sigmas.length); // the two may arrive one by one
    const mixture = mixtureOf(means.slice(0, count), sigmas.slice(0, count), model.get("pi_0"));
    return { count, mixture, weights: model.get("weights") };
  }

  function change(values) {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    model.save_changes();
  }

  function resize(count) {
    const means = model.get("means").slice(0, count);
    const sigmas = model.get("sigmas").slice(0, count);
    const free = SPARE.filter((place) => means.every((mean) => Math.abs(mean - place) > 0.04));
    while (means.length < count) {
      means.push(free.shift() ?? 0.5);
      sigmas.push(0.04);
    }
    change({ means, sigmas });
  }

  function move(handle, value) {
    const name = handle.name;
    const [low, high] = name === "means" ? [-REACH, REACH] : SIGMAS;
    const values = [...model.get(name)];
    values[handle.j] = Number(clamp(value, low, high).toPrecision(4));
    change({ [name]: values });
  }

  function advance() {
    const { weights, mixture } = now();
    const next = step(weights, mixture);
    steps += 1;
    change({ weights: next });
    return Math.max(0, ...next.map((w, i) => Math.abs(w - weights[i])));
  }

  function run() {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    play.textContent = "Pause";
    status.setAttribute("aria-live", "off"); // not one announcement per step
    timer = setInterval(() => advance() < 1e-5 && stop(), 60);
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
    status.setAttribute("aria-live", "polite");
  }

  // Drawing

  let parts = {};
  let handles = [];

  function layout(count, width, rows) {
    picture.replaceChildren();
    const [left, right] = [46, width - 14];
    const gap = clamp(130 / rows, 3, 6);
    const bottom = Y.row + gap * (rows + 1);
    const height = bottom + 44;
    put(picture, { viewBox: `0 0 ${width} ${height}`, width, height });
    const x = (w) => left + ((w + LIMIT) / (2 * LIMIT)) * (right - left);
    const bands = svg(picture, "g");
    for (const w of [-0.6, -0.4, -0.2, 0, 0.2, 0.4, 0.6]) {
      svg(picture, "path", { d: `M${fix(x(w))} ${Y.density[0]}V${bottom}`, class: "grid" });
      svg(picture, "text", { x: x(w), y: bottom + 17, class: "middle" }, text(w, 1));
    }
    svg(picture, "text", { x: (left + right) / 2, y: bottom + 37, class: "middle" }, "weight w");
    const title = (y, words) => svg(picture, "text", { x: left, y, class: "title" }, words);
    const heading = title(16, "");
    title(Y.penalty[0] - 10, "penalty −log p(w), in nats");
    title(Y.row - 8, "pull on each weight");
    for (const [y, ...words] of [[Y.means, "mean", "μ"], [Y.sigmas, "width", "σ"]]) {
      svg(picture, "rect", { x: left, y: y + 1, width: right - left, height: 42, class: "lane" });
      words.forEach((word, i) =>
        svg(picture, "text", { x: left - 6, y: y + 19 + 16 * i, class: "end" }, word),
      );
    }
    const group = (name) => svg(picture, "g", { class: name });
    parts = {
      place: { left, right, gap, bottom, x },
      heading,
      bands,
      ticks: group("ticks"),
      fills: group("fills"),
      total: svg(picture, "path", { class: "total" }),
      curve: svg(picture, "path", { class: "curve" }),
      balls: group("balls"),
      arrows: group("arrows"),
    };
    handles = [];
    for (const name of ["means", "sigmas"])
      for (let j = name === "means" ? 1 : 0; j < count; j++) handles.push(handle(name, j, count));
    svg(picture, "text", { x: x(0), y: Y.means + 27, class: `middle ${kind(0, count)}` }, "fixed");
  }

  function handle(name, j, count) {
    const what = name === "means" ? "mean" : "width sigma";
    const [low, high] = name === "means" ? [-REACH, REACH] : SIGMAS;
    const node = svg(picture, "g", {
      role: "slider",
      tabindex: 0,
      class: `handle ${kind(j, count)}`,
      "aria-label": `${what} of component ${j}`,
      "aria-valuemin": low,
      "aria-valuemax": high,
      "data-handle": `${name}-${j}`,
    });
    const bar = name === "sigmas" ? svg(node, "path", { class: "span" }) : null;
    const grip = svg(node, "g");
    svg(grip, "circle", { r: 22, class: "hit" });
    svg(grip, name === "means" ? "circle" : "rect", {
      class: "knob",
      ...(name === "means" ? { r: 11 } : { x: -10, y: -10, width: 20, height: 20, rx: 3 }),
    });
    svg(grip, "text", { y: 4.5, class: "middle" }, j);
    const made = { name, j, node, grip, bar, at: 0 };
    node.onkeydown = (event) => press(event, made);
    return made;
  }

  function draw() {
    const { count, mixture, weights } = now();
    const width = clamp(Math.floor(root.clientWidth - 26) || 640, 270, 720);
    const wanted = `${count} ${width} ${weights.length}`;
    if (wanted !== drawn) {
      const focus = picture.contains(document.activeElement) && document.activeElement;
      layout(count, width, weights.length);
      drawn = wanted;
      if (focus) picture.querySelector(`[data-handle="${focus.dataset.handle}"]`)?.focus();
    }
    const points = Array.from({ length: 601 }, (_, i) => -LIMIT + (i / 600) * 2 * LIMIT);
    const shares = points.map((x) => logParts(x, mixture));
    const curve = points.map((x) => penalty(x, mixture));
    drawDensity(points, shares, curve, count);
    drawPenalty(points, curve, mixture, weights);
    drawArrows(points, mixture, weights);
    drawHandles(mixture);
    const total = weights.reduce((sum, w) => sum + penalty(w, mixture), 0);
    say(count, mixture, weights, total);
    if (!table.hidden) fill(table, mixture, weights);
  }

  function drawDensity(points, shares, curve, count) {
    const { place, heading, fills, total, ticks } = parts;
    const [top, bottom] = Y.density;
    const peak = Math.exp(-Math.min(...curve));
    const decades = [-3, Math.max(1, Math.ceil(Math.log10(peak)))];
    const y = linear
      ? (log) => bottom - (Math.exp(log) / peak) * (bottom - top - 6)
      : (log) => {
          const height = (log / Math.LN10 - decades[0]) / (decades[1] - decades[0]);
          return bottom - Math.max(0, height) * (bottom - top);
        };
    heading.textContent = `density p(w), ${linear ? "linear" : "logarithmic"} scale`;
    scale.textContent = linear ? "Logarithmic scale" : "Linear scale";
    const line = (logs) => points.map((w, i) => `${fix(place.x(w))},${fix(y(logs[i]))}`).join("L");
    fills.replaceChildren();
    for (let j = 0; j < count; j++) {
      const d = `M${place.left},${bottom}L${line(shares.map((row) => row[j]))}L${place.right},${bottom}Z`;
      svg(fills, "path", { d, class: kind(j, count) });
    }
    total.setAttribute("d", `M${line(curve.map((value) => -value))}`);
    ticks.replaceChildren();
    const levels = linear
      ? [0, 1].map((part) => [y(Math.log(part * peak)), text(part * peak, 1)])
      : [decades[0], -1, 1, decades[1]]
          .filter((decade, i, all) => all.indexOf(decade) === i)
          .map((decade) => [y(decade * Math.LN10), decade]);
    for (const [at, label] of levels) tick(at, label, !linear);
  }

  function tick(at, label, power) {
    const node = svg(parts.ticks, "text", { x: parts.place.left - 6, y: at + 4, class: "end" });
    if (!power) node.textContent = label;
    else {
      node.textContent = "10";
      svg(node, "tspan", { dy: -5, "font-size": "0.75em" }, text(label, 0));
    }
  }

  function drawPenalty(points, curve, mixture, weights) {
    const { place, balls } = parts;
    const [top, bottom] = Y.penalty;
    const low = Math.min(...curve);
    const high = Math.max(...curve);
    const y = (value) => bottom - ((value - low) / (high - low)) * (bottom - top);
    const d = points.map((w, i) => `${fix(place.x(w))},${fix(y(curve[i]))}`).join("L");
    parts.curve.setAttribute("d", `M${d}`);
    for (const value of [low, high]) tick(y(value), text(value, Math.abs(value) < 10 ? 1 : 0));
    balls.replaceChildren();
    for (const w of weights) {
      svg(balls, "circle", { cx: place.x(w), cy: y(penalty(w, mixture)), r: 4, class: owner(w, mixture) });
    }
  }

  function drawArrows(points, mixture, weights) {
    const { place, arrows, bands } = parts;
    const { means, sigmas } = mixture;
    const inside = points.filter((w) => Math.abs(w) <= REACH);
    const most = Math.max(...inside.map((w) => Math.abs(pull(w, mixture))));
    const longest = (place.right - place.left) * 0.14;
    arrows.replaceChildren();
    weights.forEach((w, i) => {
      const y = Y.row + place.gap * (i + 1);
      const x = place.x(w);
      const end = x - (pull(w, mixture) / most) * longest;
      const side = Math.sign(end - x);
      if (Math.abs(end - x) > 3) {
        const head = `M${fix(end - 4 * side)} ${y - 3}L${fix(end)} ${y}L${fix(end - 4 * side)} ${y + 3}`;
        svg(arrows, "path", { d: `M${fix(x)} ${y}H${fix(end)}${head}` });
      }
      svg(arrows, "circle", { cx: x, cy: y, r: 2.8, class: owner(w, mixture) });
    });
    parts.most = most;
    bands.replaceChildren();
    means.forEach((mean, j) => {
      const [low, high] = [-2, 2].map((k) => place.x(clamp(mean + k * sigmas[j], -LIMIT, LIMIT)));
      const [y] = Y.penalty;
      const at = { x: low, y, width: high - low, height: place.bottom - y };
      svg(bands, "rect", { ...at, class: kind(j, means.length) });
    });
  }

  function owner(w, mixture) {
    const shares = responsibilities(w, mixture);
    return kind(shares.indexOf(Math.max(...shares)), shares.length);
  }

  function drawHandles({ means, sigmas }) {
    const { x, left, right } = parts.place;
    for (const handle of handles) {
      const { name, j, node, grip, bar } = handle;
      const y = Y[name] + 22;
      const edge = name === "means" ? means[j] : means[j] + sigmas[j];
      handle.at = clamp(x(edge), left, right);
      grip.setAttribute("transform", `translate(${fix(handle.at)} ${y})`);
      bar?.setAttribute("d", `M${fix(Math.max(left, x(means[j] - sigmas[j])))} ${y}H${fix(handle.at)}`);
      node.setAttribute("aria-valuenow", spoken(name === "means" ? means[j] : sigmas[j]));
      const said = `component ${j}, mean ${spoken(means[j])}, sigma ${spoken(sigmas[j])}`;
      node.setAttribute("aria-valuetext", said);
    }
  }

  function say(count, mixture, weights, total) {
    const pi_0 = mixture.proportions[0];
    number.input.value = count;
    number.caption.textContent = `components: ${count}`;
    share.input.disabled = count === 1;
    const [low, high] = SHARES.map(logit);
    const position = ((logit(clamp(pi_0, ...SHARES)) - low) / (high - low)) * 200;
    share.input.value = Math.round(position);
    share.caption.textContent = `π₀ = ${text(pi_0, 3)}`;
    share.input.setAttribute("aria-valuetext", `pi 0 = ${spoken(pi_0)}`);
    number.input.setAttribute("aria-valuetext", `${count} component${count > 1 ? "s" : ""}`);
    more.textContent = table.hidden ? "Show as table" : "Hide table";
    more.setAttribute("aria-expanded", String(!table.hidden));
    status.replaceChildren(`Total penalty of the ${weights.length} weights: `);
    html(status, "strong", { textContent: `${text(total, 1)} nats` });
    status.append(
      ` after ${steps} step${steps === 1 ? "" : "s"}. ` +
        `The longest arrow would be a pull of ${Number(parts.most.toPrecision(2))} nats per unit of weight.`,
    );
    const palette = model.get("palette");
    legend.replaceChildren();
    for (const key of count === 1 ? ["l2"] : ["zero", "components"])
      html(legend, "span", { className: key, textContent: palette[key].label });
    const words = `${count === 1 ? "One Gaussian" : `A mixture of ${count} Gaussians`}: density, penalty and pull.`;
    picture.setAttribute("aria-label", words);
  }

  function fill(region, mixture, weights) {
    region.replaceChildren();
    const { means, sigmas, proportions } = mixture;
    rows(region, "Components", ["j", "mean μ", "width σ", "share π"], means.map((mean, j) => [
      j, text(mean, 3), text(sigmas[j], 3), text(proportions[j], 4),
    ]));
    rows(region, "Weights", ["w", "−log p(w), nats", "pull (force) on w"], weights.map((w) => [
      text(w, 3), text(penalty(w, mixture), 2), text(-pull(w, mixture), 1),
    ]));
  }

  function rows(region, name, headings, cells) {
    const node = html(region, "table");
    html(node, "caption", { textContent: name });
    const head = html(html(node, "thead"), "tr");
    for (const heading of headings) html(head, "th", { textContent: heading, scope: "col" });
    const body = html(node, "tbody");
    for (const row of cells) {
      const line = html(body, "tr");
      for (const cell of row) html(line, "td", { textContent: cell });
    }
  }

  // Hands and keys

  const position = (event) => {
    const box = picture.getBoundingClientRect();
    const zoom = picture.viewBox.baseVal.width / box.width;
    return [(event.clientX - box.left) * zoom, (event.clientY - box.top) * zoom];
  };

  picture.onpointerdown = (event) => {
    const [px, py] = position(event);
    const lane = py < Y.sigmas ? "means" : py < Y.sigmas + 44 ? "sigmas" : null;
    const near = handles
      .filter((one) => one.name === lane && Math.abs(one.at - px) <= 30)
      .sort((a, b) => Math.abs(a.at - px) - Math.abs(b.at - px))[0];
    if (!near) return;
    event.preventDefault();
    picture.setPointerCapture(event.pointerId);
    near.node.focus({ preventScroll: true });
    status.setAttribute("aria-live", "off");
    grabbed = { handle: near, from: px, value: model.get(near.name)[near.j] };
  };
  picture.onpointermove = (event) => {
    if (!grabbed) return;
    const { left, right } = parts.place;
    const moved = ((position(event)[0] - grabbed.from) / (right - left)) * 2 * LIMIT;
    move(grabbed.handle, grabbed.value + moved);
  };
  picture.onpointerup = picture.onpointercancel = () => {
    grabbed = null;
    if (!timer) status.setAttribute("aria-live", "polite");
  };

  function press(event, { name, j }) {
    const value = model.get(name)[j];
    const far = event.shiftKey || event.key.startsWith("Page") ? 5 : 1;
    const ends = name === "means" ? [-REACH, REACH] : SIGMAS;
    const direction = {
      ArrowRight: 1, ArrowUp: 1, PageUp: 1, ArrowLeft: -1, ArrowDown: -1, PageDown: -1,
    }[event.key];
    let next = { Home: ends[0], End: ends[1] }[event.key];
    if (direction) {
      next = name === "means" ? value + 0.01 * far * direction : value * 1.1 ** (far * direction);
    }
    if (next === undefined) return;
    event.preventDefault();
    move({ name, j }, next);
  }

  // Life

  let waiting = false;
  const later = () => {
    if (waiting) return;
    waiting = true;
    queueMicrotask(() => {
      waiting = false;
      draw();
    });
  };
  for (const name of names) model.on(`change:${name}`, later);
  const watcher = new ResizeObserver(later);
  watcher.observe(root);
  stop();
  draw();
  return () => {
    stop();
    watcher.disconnect();
    for (const name of names) model.off(`change:${name}`, later);
  };
}

const fix = (value) => value.toFixed(1);

export default { render };
