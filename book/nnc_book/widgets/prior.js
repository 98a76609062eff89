// The figure "Prior": one Gaussian or a mixture, its density, its penalty and its pull on weights.

const LIMIT = 1; // of the weight axis
const RANGE = { means: [-0.95, 0.95], sigmas: [0.01, 0.5] }; // how far they can be dragged
const SHARES = [0.05, 0.999]; // of pi_0, on a logit scale
const MOST = 8; // components
const SPARE = [0.4, -0.4, 0.7, -0.7, 0.2, -0.2, 0.9]; // where added components appear
const REST = 0.01; // nats per unit of weight: a pull that counts as none
const KEYS = { ArrowRight: 1, ArrowUp: 1, PageUp: 5, ArrowLeft: -1, ArrowDown: -1, PageDown: -5 };
const L2 = { means: [], sigmas: [0.25] };
const Y = { density: [26, 182], means: 190, sigmas: 234, penalty: [308, 412], row: 448 }; // in px

// Mathematics: the same as nnc.Mixture, to 1e-9

/** The zero component, first, has pi_0; the others share the rest. */
export function mixtureOf(means, sigmas, pi_0) {
  const others = means.length - 1;
  const proportions = means.map((_, j) => (others === 0 ? 1 : j === 0 ? pi_0 : (1 - pi_0) / others));
  return { means, sigmas, proportions };
}

/** log(pi_j N(x | mu_j, sigma_j²)), one per component. */
function logParts(x, { means, sigmas, proportions }) {
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

/** The class of the component that owns a weight. */
function owner(x, mixture) {
  const parts = logParts(x, mixture);
  return kind(parts.indexOf(Math.max(...parts)), parts.length);
}

/** d(-log p)/dx = sum_j r_j (x - mu_j) / sigma_j². A weight is moved against it. */
export function pull(x, mixture) {
  const { means, sigmas } = mixture;
  const total = logDensity(x, mixture);
  return logParts(x, mixture).reduce(
    (sum, part, j) => sum + (Math.exp(part - total) * (x - means[j])) / sigmas[j] ** 2,
    0,
  );
}

/** Length of a step for a pull of 1, short enough for the narrowest component. */
const rateOf = ({ sigmas }) => Math.min(...sigmas) ** 2 / 4;

/** One step of gradient descent. */
export function step(weights, mixture) {
  const rate = rateOf(mixture);
  return weights.map((w) => clamp(w - rate * pull(w, mixture), -LIMIT, LIMIT));
}

// Small helpers

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const logit = (share) => Math.log(share / (1 - share));
const text = (value, digits = 2) => Number(value.toFixed(digits)).toString().replace("-", "−");
const ten = (power) => `10${[...`${power}`].map((c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻").join("")}`;
const spoken = (value) => Number(value.toFixed(3)).toString();
const kind = (j, count) => (count === 1 ? "l2" : j === 0 ? "zero" : "components");

// The figure

function render({ model, el }) {
  const names = ["means", "sigmas", "pi_0", "weights"];
  const { weights: start, ...given } = Object.fromEntries(names.map((n) => [n, model.get(n)]));
  let steps = 0;
  let timer = null;
  let linear = false;
  let drawn = null; // what the last drawing was laid out for
  let grabbed = null; // the handle under the pointer

  const change = changing(model);
  const root = figureIn(el, "prior", "a prior over weights");

  const bar = add(root, "div", { class: "bar" });
  button(bar, "L2", () => change(L2));
  button(bar, "Mixture", () => (given.means.length ? change(given) : resize(3)));
  const scale = button(bar, "", () => {
    linear = !linear;
    draw();
  });
  const number = range(bar, "number of components", 1, MOST, resize);
  const [least, most] = SHARES.map(logit);
  const share = range(bar, "pi 0, share of the zero component", 0, 200, (value) => {
    change({ pi_0: 1 / (1 + Math.exp(-least - ((most - least) * value) / 200)) });
  });
  const legend = add(root, "p", { class: "legend" });
  const picture = add(root, "svg", { role: "group" });
  const status = add(root, "p", { class: "status", role: "status" });
  const below = add(root, "div", { class: "bar" });
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
    draw();
  });
  const more = button(below, "", () => {
    table.hidden = !table.hidden;
    draw();
  });
  const table = add(root, "div", { class: "table", hidden: "", tabindex: 0, role: "region" });
  table.setAttribute("aria-label", "The figure as tables");

  function now() {
    const means = [0, ...model.get("means")]; // the zero component's is fixed
    const sigmas = model.get("sigmas");
    const count = Math.min(means.length, sigmas.length); // the two may arrive one by one
    const mixture = mixtureOf(means.slice(0, count), sigmas.slice(0, count), model.get("pi_0"));
    return { count, mixture, weights: model.get("weights") };
  }

  function resize(count) {
    const means = model.get("means").slice(0, count - 1);
    const sigmas = model.get("sigmas").slice(0, count);
    const free = SPARE.filter((place) => means.every((mean) => Math.abs(mean - place) > 0.08));
    while (sigmas.length < count) {
      means.push(free.shift() ?? SPARE[0]);
      sigmas.push(0.06);
    }
    change({ means, sigmas });
  }

  const index = ({ name, j }) => (name === "means" ? j - 1 : j);

  function move(handle, value) {
    const { name } = handle;
    const values = [...model.get(name)];
    values[index(handle)] = Number(clamp(value, ...RANGE[name]).toPrecision(4));
    change({ [name]: values });
  }

  /** Some steps; true when in the last no weight was pulled anywhere any more. */
  function advance(count = 1) {
    const { weights, mixture } = now();
    let [before, next] = [weights, weights];
    for (let i = 0; i < count; i++) [before, next] = [next, step(next, mixture)];
    steps += count;
    change({ weights: next });
    return next.every((w, i) => Math.abs(w - before[i]) < REST * rateOf(mixture));
  }

  /** Beside a narrow component steps are short, and a wide one needs many: more to a picture. */
  function stride() {
    const { sigmas } = now().mixture;
    return Math.ceil((Math.max(...sigmas) / Math.min(...sigmas)) ** 2 / 4);
  }

  function run() {
    if (calm()) return;
    play.textContent = "Pause";
    status.setAttribute("aria-live", "off"); // not one announcement per step
    timer = setInterval(() => (calm() || advance(stride())) && stop(), 60);
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
    const at = handles.findIndex(({ node }) => node === document.activeElement);
    picture.replaceChildren();
    legend.replaceChildren();
    for (const key of count === 1 ? ["l2"] : ["zero", "components"])
      add(legend, "span", { class: key }, model.get("palette")[key].label);
    const [left, right] = [46, width - 14];
    const gap = clamp(130 / rows, 3, 6);
    const bottom = Y.row + gap * (rows + 1);
    const height = bottom + 44;
    put(picture, { viewBox: `0 0 ${width} ${height}`, width, height });
    const x = (w) => left + ((w + LIMIT) / (2 * LIMIT)) * (right - left);
    const bands = add(picture, "g");
    for (const w of [-1, -0.5, 0, 0.5, 1]) {
      add(picture, "path", { d: `M${fix(x(w))} ${Y.density[0]}V${bottom}`, class: "grid" });
      add(picture, "text", { x: x(w), y: bottom + 17, class: "middle" }, text(w, 1));
    }
    add(picture, "text", { x: (left + right) / 2, y: bottom + 37, class: "middle" }, "weight w");
    const title = (y, words) => add(picture, "text", { x: left, y, class: "title" }, words);
    title(Y.density[0] - 10, "density p(w)");
    title(Y.penalty[0] - 10, "penalty −log p(w), in nats");
    title(Y.row - 8, "where each weight is moved");
    for (const [y, ...words] of [[Y.means, "mean", "μ"], [Y.sigmas, "width", "σ"]]) {
      add(picture, "rect", { x: left, y: y + 1, width: right - left, height: 42, class: "lane" });
      words.forEach((word, i) =>
        add(picture, "text", { x: left - 6, y: y + 19 + 16 * i, class: "end" }, word),
      );
    }
    const group = (name) => add(picture, "g", { class: name });
    parts = {
      place: { left, right, gap, bottom, x },
      bands,
      ticks: group("ticks"),
      fills: group("fills"),
      total: add(picture, "path", { class: "total" }),
      curve: add(picture, "path", { class: "curve" }),
      balls: group("balls"),
      arrows: group("arrows"),
    };
    // The zero component's mean stays where it is.
    add(picture, "circle", { cx: x(0), cy: Y.means + 22, r: 10, class: `pin ${kind(0, count)}` });
    const all = Array.from({ length: count }, (_, j) => j);
    handles = all.slice(1).map((j) => handle("means", j, count));
    handles.push(...all.map((j) => handle("sigmas", j, count)));
    handles[at]?.node.focus({ preventScroll: true });
  }

  function handle(name, j, count) {
    const round = name === "means";
    const [low, high] = RANGE[name];
    const node = add(picture, "g", {
      role: "slider",
      tabindex: 0,
      class: `handle ${kind(j, count)}`,
      "aria-label": `${round ? "mean" : "width sigma"} of component ${j}`,
      "aria-valuemin": low,
      "aria-valuemax": high,
    });
    const span = round ? null : add(node, "path", { class: "span" });
    const grip = add(node, "g");
    add(grip, "circle", { r: 22, class: "hit" });
    if (round) add(grip, "circle", { r: 11, class: "knob" });
    else add(grip, "rect", { x: -10, y: -10, width: 20, height: 20, rx: 3, class: "knob" });
    add(grip, "text", { y: 4.5, class: "middle" }, j);
    const made = { name, j, node, grip, span };
    node.onkeydown = (event) => press(event, made);
    return made;
  }

  function draw() {
    const { count, mixture, weights } = now();
    const width = roomIn(root);
    const wanted = `${count} ${width} ${weights.length}`;
    if (wanted !== drawn) {
      layout(count, width, weights.length);
      drawn = wanted;
    }
    const points = Array.from({ length: 601 }, (_, i) => -LIMIT + (i / 600) * 2 * LIMIT);
    const shares = points.map((x) => logParts(x, mixture));
    const curve = points.map((x) => penalty(x, mixture));
    drawDensity(points, shares, curve, count);
    drawPenalty(points, curve, mixture, weights);
    drawArrows(points, mixture, weights);
    drawHandles(mixture);
    say(count, mixture, weights);
    if (!table.hidden) tabulate(mixture, weights);
  }

  function drawDensity(points, shares, curve, count) {
    const { place, fills, total, ticks } = parts;
    const [top, bottom] = Y.density;
    const peak = Math.exp(-Math.min(...curve));
    const [floor, ceiling] = [-3, Math.max(1, Math.ceil(Math.log10(peak)))];
    const height = (log) =>
      linear
        ? (0.96 * Math.exp(log)) / peak
        : Math.max(0, (log / Math.LN10 - floor) / (ceiling - floor));
    const y = (log) => bottom - height(log) * (bottom - top);
    scale.textContent = linear ? "Logarithmic scale" : "Linear scale";
    // Along the floor, where the density is below the scale, the line is left out.
    const line = (logs) => {
      const spots = points.map((w, i) => [fix(place.x(w)), fix(y(logs[i]))]);
      const low = (i) => !linear && spots[i]?.[1] === fix(bottom);
      return spots.map((spot, i) => `${low(i) && low(i - 1) ? "M" : "L"}${spot}`).join("").slice(1);
    };
    fills.replaceChildren();
    for (let j = 0; j < count; j++) {
      const d = line(shares.map((row) => row[j]));
      const area = `M${place.left},${bottom}L${d.replaceAll("M", "L")}L${place.right},${bottom}Z`;
      add(fills, "path", { d: area, class: `area ${kind(j, count)}` });
      add(fills, "path", { d: `M${d}`, class: kind(j, count) });
    }
    total.setAttribute("d", `M${line(curve.map((value) => -value))}`);
    ticks.replaceChildren();
    if (linear) for (const part of [0, 1]) tick(y(Math.log(part * peak)), text(part * peak, 1));
    else for (const power of new Set([floor, -1, ceiling])) tick(y(power * Math.LN10), ten(power));
  }

  function tick(y, label) {
    add(parts.ticks, "text", { x: parts.place.left - 6, y: y + 4, class: "end" }, label);
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
      const cy = y(penalty(w, mixture));
      add(balls, "circle", { cx: place.x(w), cy, r: 4, class: owner(w, mixture) });
    }
  }

  function drawArrows(points, mixture, weights) {
    const { place, arrows, bands } = parts;
    const { means, sigmas } = mixture;
    const inside = points.filter((w) => Math.abs(w) <= RANGE.means[1]);
    const most = Math.max(...inside.map((w) => Math.abs(pull(w, mixture))));
    const longest = (place.right - place.left) / 7;
    arrows.replaceChildren();
    weights.forEach((w, i) => {
      const y = Y.row + place.gap * (i + 1);
      const x = place.x(w);
      const end = x - (pull(w, mixture) / most) * longest;
      if (Math.abs(end - x) > 3) {
        const tip = 4 * Math.sign(end - x);
        const head = `m${-tip} -3l${tip} 3l${-tip} 3`;
        add(arrows, "path", { d: `M${fix(x)} ${y}H${fix(end)}${head}` });
      }
      add(arrows, "circle", { cx: x, cy: y, r: 2.8, class: owner(w, mixture) });
    });
    parts.most = most;
    bands.replaceChildren();
    means.forEach((mean, j) => {
      const [low, high] = [-2, 2].map((k) => place.x(clamp(mean + k * sigmas[j], -LIMIT, LIMIT)));
      const [y] = Y.penalty;
      const size = { width: high - low, height: place.bottom - y };
      add(bands, "rect", { x: low, y, ...size, class: kind(j, means.length) });
    });
  }

  function drawHandles({ means, sigmas }) {
    const { x, left, right } = parts.place;
    for (const handle of handles) {
      const { name, j, node, grip, span } = handle;
      const y = Y[name] + 22;
      const edge = name === "means" ? x(means[j]) : x(means[j] + sigmas[j]) + 10;
      handle.at = clamp(edge, left, right);
      grip.setAttribute("transform", `translate(${fix(handle.at)} ${y})`);
      const from = Math.max(left, x(means[j] - sigmas[j]));
      span?.setAttribute("d", `M${fix(from)} ${y}H${fix(handle.at)}`);
      node.setAttribute("aria-valuenow", spoken(name === "means" ? means[j] : sigmas[j]));
      const said = `component ${j}, mean ${spoken(means[j])}, sigma ${spoken(sigmas[j])}`;
      node.setAttribute("aria-valuetext", said);
    }
  }

  function say(count, mixture, weights) {
    const total = weights.reduce((sum, w) => sum + penalty(w, mixture), 0);
    const pi_0 = mixture.proportions[0];
    number.input.value = count;
    number.caption.textContent = `components: ${count}`;
    share.input.disabled = count === 1;
    share.input.value = (200 * (logit(clamp(pi_0, ...SHARES)) - least)) / (most - least);
    share.caption.textContent = `π₀ = ${text(pi_0, 3)}`;
    share.input.setAttribute("aria-valuetext", `pi 0 = ${spoken(pi_0)}`);
    more.textContent = table.hidden ? "Show as table" : "Hide table";
    more.setAttribute("aria-expanded", String(!table.hidden));
    status.replaceChildren(`Total penalty of the ${weights.length} weights: `);
    add(status, "strong", {}, `${text(total, 1)} nats`);
    const strongest = Number(parts.most.toPrecision(2));
    status.append(` after ${counted(steps, "step")}. `);
    status.append(`An arrow of a seventh of the axis is a pull of ${strongest} nats per unit of weight.`);
    const name = count === 1 ? "One Gaussian" : `A mixture of ${count} Gaussians`;
    picture.setAttribute("aria-label", `${name}: density, penalty and pull`);
  }

  function tabulate(mixture, weights) {
    table.replaceChildren();
    const { means, sigmas, proportions } = mixture;
    const parts = means.map((mean, j) => [j, mean, sigmas[j], proportions[j]]);
    oneOf("Components", ["j", "mean μ", "width σ", "share π"], parts);
    const row = weights.map((w) => [w, penalty(w, mixture), pull(w, mixture)]);
    oneOf("Weights", ["w", "−log p(w), in nats", "pull (w moves against it)"], row);
  }

  function oneOf(name, headings, rows) {
    const node = add(table, "table");
    const said = (value) => text(value, Math.abs(value) < 0.01 ? 6 : 3);
    fill(node, headings, rows.map((row) => row.map(said)));
    node.createCaption().textContent = name;
  }

  // Hands and keys

  const position = (event) => {
    const box = picture.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };

  picture.onpointerdown = (event) => {
    const [px, py] = position(event);
    const lane = py < Y.sigmas ? "means" : py < Y.sigmas + 44 ? "sigmas" : null;
    const on = event.target.closest(".handle"); // the one on top, where several lie together
    const near = handles
      .filter((one) => one.name === lane && Math.abs(one.at - px) <= 30)
      .sort((a, b) => (b.node === on) - (a.node === on) || Math.abs(a.at - px) - Math.abs(b.at - px))[0];
    if (!near || !leads(event)) return;
    event.preventDefault();
    picture.setPointerCapture(event.pointerId);
    near.node.focus({ preventScroll: true });
    status.setAttribute("aria-live", "off");
    grabbed = { handle: near, from: px, value: model.get(near.name)[index(near)] };
  };
  picture.onpointermove = (event) => {
    if (!event.buttons) grabbed = null; // let go of where nobody saw it
    if (!grabbed || !event.isPrimary) return;
    const { left, right } = parts.place;
    const moved = ((position(event)[0] - grabbed.from) / (right - left)) * 2 * LIMIT;
    move(grabbed.handle, grabbed.value + moved);
  };
  picture.onpointerup = picture.onpointercancel = () => {
    grabbed = null;
    if (!timer) status.setAttribute("aria-live", "polite");
  };

  function press(event, handle) {
    if (event.altKey || event.ctrlKey || event.metaKey) return; // the browser's own
    const { name } = handle;
    const value = model.get(name)[index(handle)];
    const by = KEYS[event.key] * (event.shiftKey ? 5 : 1);
    const end = RANGE[name][["Home", "End"].indexOf(event.key)];
    const next = end ?? (name === "means" ? value + 0.02 * by : value * 1.1 ** by);
    if (Number.isNaN(next)) return;
    event.preventDefault();
    move(handle, next);
  }

  // Life

  stop();
  const end = follow(model, names, draw, root);
  return () => {
    stop();
    end();
  };
}

const fix = (value) => value.toFixed(1);

export default { render };
