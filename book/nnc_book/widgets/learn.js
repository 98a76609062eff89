
// Small networks that learn in the page. The text of dom.js stands above.

/** Numbers from 0 to 1 that follow from a seed (mulberry32). */
export function randomOf(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const normal = (random) =>
  Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

/** Points on three arms of a spiral, the classes in turn; noise is the spread about an arm. */
export function spiral(count, noise, random) {
  const places = new Float64Array(2 * count);
  const labels = Array.from({ length: count }, (_, n) => n % 3);
  for (let n = 0; n < count; n++) {
    const far = 0.1 + 0.85 * Math.sqrt(random());
    const angle = 2 * Math.PI * (labels[n] / 3 + 0.55 * far);
    places[2 * n] = far * Math.cos(angle) + noise * normal(random);
    places[2 * n + 1] = far * Math.sin(angle) + noise * normal(random);
  }
  return { places, labels };
}

/** A network of dense layers with tanh between them, all its numbers in one row. */
export function networkOf(sizes, random) {
  let from = 0;
  const layers = sizes.slice(1).map((outputs, l) => {
    const layer = { inputs: sizes[l], outputs, from, biases: from + sizes[l] * outputs };
    from = layer.biases + outputs;
    return layer;
  });
  const values = new Float64Array(from);
  for (const { inputs, from: start, biases } of layers)
    for (let i = start; i < biases; i++) values[i] = normal(random) / Math.sqrt(inputs);
  return { layers, values };
}

/** What every layer gives at places (x, y, x, y …), row after row; the logits last. */
export function forward({ layers, values }, places) {
  const found = [places];
  for (const { inputs, outputs, from, biases } of layers) {
    const below = found.at(-1);
    const count = below.length / inputs;
    const row = new Float64Array(count * outputs);
    const bend = found.length < layers.length;
    for (let n = 0; n < count; n++)
      for (let o = 0; o < outputs; o++) {
        let sum = values[biases + o];
        for (let i = 0; i < inputs; i++) sum += values[from + o * inputs + i] * below[n * inputs + i];
        row[n * outputs + o] = bend ? Math.tanh(sum) : sum;
      }
    found.push(row);
  }
  return found;
}

/** The mean error at places and its gradient; errorOf(logits, n) gives { value, slopes }. */
export function errorOver(network, places, errorOf) {
  const { layers, values } = network;
  const found = forward(network, places);
  const gradient = new Float64Array(values.length);
  const classes = layers.at(-1).outputs;
  const count = places.length / layers[0].inputs;
  let slopes = new Float64Array(count * classes);
  let error = 0;
  for (let n = 0; n < count; n++) {
    const one = errorOf(found.at(-1).subarray(n * classes, (n + 1) * classes), n);
    error += one.value / count;
    for (let c = 0; c < classes; c++) slopes[n * classes + c] = one.slopes[c] / count;
  }
  for (let l = layers.length - 1; l >= 0; l--) {
    const { inputs, outputs, from, biases } = layers[l];
    const below = new Float64Array(count * inputs);
    for (let n = 0; n < count; n++)
      for (let o = 0; o < outputs; o++) {
        const slope = slopes[n * outputs + o];
        gradient[biases + o] += slope;
        for (let i = 0; i < inputs; i++) {
          gradient[from + o * inputs + i] += slope * found[l][n * inputs + i];
          below[n * inputs + i] += slope * values[from + o * inputs + i];
        }
      }
    for (let k = 0; k < below.length; k++) below[k] *= 1 - found[l][k] ** 2;
    slopes = below;
  }
  return { error, gradient };
}

/** Cross-entropy of a label and its slopes by the logits. */
export function crossEntropy(logits, label) {
  const shares = softmax([...logits]);
  const slopes = shares.map((share, c) => share - (c === label));
  return { value: -Math.log(shares[label]), slopes };
}

/** Adam: a function that moves numbers against a gradient, at a rate that may change. */
export function adam(values) {
  const [mean, square] = [0, 0].map(() => new Float64Array(values.length));
  let steps = 0;
  return (gradient, rate) => {
    steps += 1;
    const size = (rate * Math.sqrt(1 - 0.999 ** steps)) / (1 - 0.9 ** steps);
    for (let i = 0; i < values.length; i++) {
      mean[i] += 0.1 * (gradient[i] - mean[i]);
      square[i] += 0.001 * (gradient[i] ** 2 - square[i]);
      values[i] -= (size * mean[i]) / (Math.sqrt(square[i]) + 1e-8);
    }
  };
}

/** The class with the largest logit at each place. */
export function classesAt(network, places) {
  const logits = forward(network, places).at(-1);
  const count = network.layers.at(-1).outputs;
  return Array.from({ length: logits.length / count }, (_, n) => {
    const row = logits.subarray(n * count, (n + 1) * count);
    return row.indexOf(Math.max(...row));
  });
}

/** The share of points whose class is found. */
export function accuracy(network, { places, labels }) {
  const found = classesAt(network, places);
  return labels.filter((label, n) => found[n] === label).length / labels.length;
}

// What is drawn of them

const SIDE = 72; // cells of a map in each direction
const EDGE = 1.25; // of the square that is drawn
const LEVELS = 4; // of how sure a network is
const CELLS = Float64Array.from({ length: 2 * SIDE * SIDE }, (_, k) => {
  const cell = k >> 1;
  return EDGE * ((2 * ((k % 2 ? Math.floor(cell / SIDE) : cell % SIDE) + 0.5)) / SIDE - 1);
});

/** A square map of a network's answers, with points on it. */
function mapIn(parent, size) {
  const box = `0 0 ${SIDE} ${SIDE}`;
  const shape = { viewBox: box, width: size, height: size };
  const node = add(parent, "svg", { ...shape, role: "img", class: "map" });
  const areas = Array.from({ length: 3 * LEVELS }, (_, k) =>
    add(node, "path", { class: `area kind${Math.floor(k / LEVELS)} sure${k % LEVELS}` }),
  );
  const spots = [0, 1, 2].map((label) => add(node, "path", { class: `spot kind${label}` }));
  return { node, areas, spots };
}

/** The class at each cell, paler where the probability at a temperature is closer to a third. */
function drawAnswers({ areas }, network, temperature = 1) {
  const logits = forward(network, CELLS).at(-1);
  const paths = areas.map(() => "");
  for (let row = 0; row < SIDE; row++)
    for (let column = 0, from = 0, area = -1; column <= SIDE; column++) {
      let next = -1;
      if (column < SIDE) {
        const at = 3 * (row * SIDE + column);
        const shares = softmax([0, 1, 2].map((c) => logits[at + c] / temperature));
        const most = Math.max(...shares);
        const sure = Math.min(LEVELS - 1, Math.floor(LEVELS * (1.5 * most - 0.5)));
        next = LEVELS * shares.indexOf(most) + Math.max(0, sure);
      }
      if (next === area) continue;
      if (area >= 0) paths[area] += `M${from} ${row}H${column}v1H${from}z`;
      [from, area] = [column, next];
    }
  areas.forEach((node, k) => put(node, { d: paths[k] }));
}

const CIRCLE = "m-1 0a1 1 0 1 0 2 0a1 1 0 1 0 -2 0z";
const MARKS = [CIRCLE, "m-.9 -.9h1.8v1.8h-1.8z", "m0 -1.15l1.15 2h-2.3z"];

/** Points, each class with a mark of its own. */
function drawPoints({ spots }, { places, labels }) {
  const at = (value) => ((value / EDGE + 1) * SIDE) / 2;
  spots.forEach((node, label) => {
    const mine = labels.flatMap((one, n) => (one === label ? [n] : []));
    const place = (n) => [2 * n, 2 * n + 1].map((k) => at(places[k]).toFixed(1)).join(" ");
    put(node, { d: mine.map((n) => `M${place(n)}${MARKS[label]}`).join("") });
  });
}

/**
 * Work in pieces, so that the page stays alive: advance() returns true when all is done. Where no
 * motion is wanted the pieces are long and nothing is drawn before the end. Returns a switch:
 * start(), stop() and going().
 */
function worker(advance, draw) {
  let timer = null;
  const stop = () => {
    clearTimeout(timer);
    timer = null;
  };
  const go = () => {
    const until = performance.now() + (calm() ? 40 : 0);
    let done = advance();
    while (!done && performance.now() < until) done = advance();
    if (done) stop();
    else timer = setTimeout(go, 30);
    if (done || !calm()) draw();
  };
  const start = () => {
    timer ??= setTimeout(go, 0);
    draw();
  };
  return { start, stop, going: () => timer !== null };
}

/** Follow a model as follow() does, reset() first where a trait has changed; ends the work too. */
function followTraining(model, names, { reset, draw, work }, root) {
  const key = () => names.map((name) => model.get(name)).join();
  let before = key();
  const redraw = () => {
    if (before !== key()) reset();
    before = key();
    draw();
  };
  const end = follow(model, names, redraw, root);
  return () => {
    work.stop();
    end();
  };
}
