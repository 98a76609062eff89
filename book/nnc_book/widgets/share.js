
// The figure "Share": a small network learns under a mixture prior, and its weights gather.
// The texts of dom.js and learn.js stand above.

// Mathematics: the same as nnc.GaussianMixturePrior and nnc.assign

/** The mixture at the start: components besides the zero component, all of one width. */
export function priorOf({ means, sigma, pi_0, zero, others }) {
  const logs = new Float64Array(means.length + 1).fill(-2 * Math.log(sigma));
  const mixing = new Float64Array(means.length);
  return { means: Float64Array.from(means), logs, mixing, pi_0, hyper: [zero, others] };
}

/** Mean, precision and logarithm of the height of every component, the zero component first. */
function componentsOf({ means, logs, mixing, pi_0 }) {
  const shares = [pi_0, ...softmax([...mixing]).map((share) => (1 - pi_0) * share)];
  return shares.map((share, j) => ({
    mean: j ? means[j - 1] : 0,
    precision: Math.exp(logs[j]),
    height: Math.log(share) + (logs[j] - Math.log(2 * Math.PI)) / 2,
  }));
}

/** log(pi_j N(w | mu_j, 1 / lambda_j)) of every component. */
const scores = (w, parts) =>
  parts.map(({ mean, precision, height }) => height - (precision * (w - mean) ** 2) / 2);

/** Minus log p(weights), with hyper-priors, and its gradients. */
export function penaltyOf(prior, weights) {
  const parts = componentsOf(prior);
  const [means, logs, owned] = [0, 0, 0].map(() => new Float64Array(parts.length));
  let value = 0;
  const slopes = Float64Array.from(weights, (w) => {
    const found = scores(w, parts);
    const top = Math.max(...found);
    const sum = found.reduce((total, score) => total + Math.exp(score - top), 0);
    value -= top + Math.log(sum);
    return parts.reduce((slope, { mean, precision }, j) => {
      const share = Math.exp(found[j] - top) / sum;
      const pull = share * precision * (w - mean);
      means[j] -= pull;
      logs[j] += (pull * (w - mean) - share) / 2;
      owned[j] += share;
      return slope + pull;
    }, 0);
  });
  parts.forEach(({ precision }, j) => {
    const [a, b] = prior.hyper[j ? 1 : 0];
    value -= (a - 1) * prior.logs[j] - b * precision;
    logs[j] -= a - 1 - b * precision;
  });
  const rest = softmax([...prior.mixing]);
  const mixing = rest.map((share, j) => share * (weights.length - owned[0]) - owned[j + 1]);
  return { value, slopes, means: means.subarray(1), logs, mixing };
}

/** Which component owns each weight. */
export function ownersOf(prior, weights) {
  const parts = componentsOf(prior);
  return Array.from(weights, (w) => {
    const found = scores(w, parts);
    return found.indexOf(Math.max(...found));
  });
}

/** Bits that the best code for codes of these frequencies takes, over all of them. */
export function bitsOf(codes) {
  const counts = new Map();
  for (const code of codes) counts.set(code, (counts.get(code) ?? 0) + 1);
  return [...counts.values()].reduce((bits, n) => bits + n * Math.log2(codes.length / n), 0);
}

/** A training from its seed: step 1, then step 2; pieces of a few steps at a time. */
export function trainingOf(settings, seed) {
  const { count, noise, sizes, first, second, rate, grow } = settings;
  const random = randomOf(seed);
  const points = spiral(count, noise, random);
  const test = spiral(600, noise, random);
  const network = networkOf(sizes, random);
  const places = network.layers.flatMap(({ from, biases }) =>
    Array.from({ length: biases - from }, (_, i) => from + i),
  );
  const weights = () => places.map((i) => network.values[i]);
  let [prior, movers, trained] = [priorOf(settings), [adam(network.values)], null];
  let steps = 0;

  /** One step; the pull grows over the first steps of step 2, and the rates fall at the end. */
  function step(tau) {
    const error = errorOver(network, points.places, (z, n) => crossEntropy(z, points.labels[n]));
    steps += 1;
    if (steps <= first) {
      movers[0](error.gradient, 2 * rate * (1 - (steps - 1) / first));
      if (steps === first) restart();
      return;
    }
    const progress = (steps - first - 1) / second;
    const penalty = penaltyOf(prior, weights());
    const factor = (tau / count) * Math.min(1, progress / grow);
    places.forEach((i, k) => (error.gradient[i] += factor * penalty.slopes[k]));
    const slow = Math.min(1, 4 * (1 - progress));
    movers[0](error.gradient, rate * slow);
    movers[1](penalty.means, rate * slow);
    movers[2](penalty.logs, 1.5 * rate * slow);
    movers[3](penalty.mixing, 1.5 * rate * slow);
  }

  /** Back to the end of step 1. */
  function restart() {
    if (steps < first) return;
    steps = first;
    trained ??= Float64Array.from(network.values);
    network.values.set(trained);
    prior = priorOf(settings);
    movers = [network.values, prior.means, prior.logs, prior.mixing].map(adam);
  }

  /** The network that step 3 would make now, and what it takes to write its weights down. */
  function assigned() {
    const owners = ownersOf(prior, weights());
    const values = Float64Array.from(network.values);
    places.forEach((i, k) => (values[i] = owners[k] ? prior.means[owners[k] - 1] : 0));
    const levels = new Set(owners.filter((owner) => owner)).size;
    return {
      network: { layers: network.layers, values },
      owners,
      weights: places.map((i) => values[i]),
      zeros: owners.filter((owner) => !owner).length / owners.length,
      levels,
      bits: bitsOf(owners) + 32 * levels,
    };
  }

  return {
    points, test, network, weights, step, restart, assigned,
    mixture: () => componentsOf(prior),
    firstOnly: () => ({ layers: network.layers, values: trained }),
    steps: () => steps,
    done: () => steps >= first + second,
  };
}

// The figure

const LIMIT = 3.5; // of the weights that are drawn
const DECADES = [-5, 2]; // of tau
const text = (value) => Math.round(value).toLocaleString("en");

function render({ model, el }) {
  const settings = model.get("settings");
  const change = changing(model);
  let seed = model.get("seed");
  let training = trainingOf(settings, seed);
  let final = null; // what step 3 made

  const root = figureIn(el, "share", "a network learns under a mixture prior");
  const bar = add(root, "div", { class: "bar" });
  const main = button(bar, "Train", () => {
    if (work.going()) work.stop();
    else {
      if (training.done()) training = trainingOf(settings, ++seed);
      final = null;
      work.start();
    }
    draw();
  });
  main.className = "main";
  const fix = button(bar, "Assign", () => {
    work.stop();
    final = training.assigned();
    draw();
  });
  const strength = range(bar, "strength tau", 2 * DECADES[0], 2 * DECADES[1], (place) =>
    change({ tau: Number((10 ** (place / 2)).toPrecision(1)) }),
  );
  const pair = add(root, "div", { class: "pair" });
  const strip = add(pair, "svg", { role: "img", class: "strip" });
  const side = add(pair, "div", { class: "side" });
  const map = mapIn(side, 236);
  add(side, "p", {}, "What it answers, and the points it learns from");
  const tiles = add(root, "div", { class: "tiles" });
  const [asIs, ifAssigned, zeros, bits] = ["accuracy on other points", "accuracy if assigned now", "", ""].map(
    (name) => {
      const tile = add(tiles, "div");
      const number = add(tile, "strong");
      return { number, name: add(tile, "span", {}, name) };
    },
  );
  const status = add(root, "p", { class: "status", role: "status" });

  const work = worker(
    () => {
      const { first } = settings;
      for (let i = 0; i < 6 && !training.done(); i++) {
        training.step(model.get("tau"));
        if (training.steps() === first) break; // step 1 is seen whole
      }
      return training.done();
    },
    () => draw(),
  );

  let [laid, dots, bands] = [0, [], []];

  /** Axes, and a dot for each weight, layer by layer. */
  function lay(width) {
    laid = width;
    const height = 268;
    strip.replaceChildren();
    put(strip, { viewBox: `0 0 ${width} ${height}`, width, height });
    for (const w of [-3, -2, -1, 0, 1, 2, 3]) {
      add(strip, "path", { d: `M30 ${y(w)}H${width}`, class: "grid" });
      add(strip, "text", { x: 24, y: y(w) + 4, class: "end" }, `${w}`.replace("-", "−"));
    }
    bands = training.mixture().map((_, j) => {
      const attributes = { x: 30, width: width - 30, class: `band ${j ? "components" : "zero"}` };
      return add(strip, "rect", attributes);
    });
    const count = training.weights().length;
    const x = (k) => 38 + ((width - 46) * (k + 0.5)) / count;
    dots = training.weights().map((_, k) => add(strip, "circle", { cx: x(k).toFixed(1), r: 2.6 }));
    add(strip, "text", { x: 0, y: height - 4 }, "layer");
    let from = 0;
    training.network.layers.forEach(({ inputs, outputs }, l) => {
      const middle = x(from + (inputs * outputs) / 2 - 0.5);
      add(strip, "text", { x: middle, y: height - 4, class: "middle" }, `${l + 1}`);
      from += inputs * outputs;
      if (from < count) add(strip, "path", { d: `M${x(from - 0.5)} 6V250`, class: "grid" });
    });
  }

  function y(w) {
    return 128 - (122 * Math.max(-LIMIT, Math.min(LIMIT, w))) / LIMIT;
  }

  function draw() {
    const room = roomIn(root);
    const width = room < 560 ? room : room - 252;
    if (width !== laid) lay(width);
    const tau = model.get("tau");
    strength.input.value = Math.round(2 * Math.log10(tau));
    strength.caption.textContent = `strength τ = ${tau}`;
    strength.input.setAttribute("aria-valuetext", `tau ${tau}`);
    const clustering = training.steps() > settings.first;
    const now = training.assigned();
    const network = final ? final.network : training.network;
    const weights = final ? final.weights : training.weights();
    drawAnswers(map, network);
    drawPoints(map, training.points);
    dots.forEach((dot, k) => {
      const owner = !clustering ? "free" : now.owners[k] ? "components" : "zero";
      put(dot, { cy: y(weights[k]).toFixed(1), class: owner });
    });
    training.mixture().forEach(({ mean, precision }, j) => {
      const half = Math.max(0.02, 2 / Math.sqrt(precision));
      const [top, bottom] = [y(mean + half), y(mean - half)];
      const visibility = clustering && now.owners.includes(j) ? "visible" : "hidden";
      put(bands[j], { y: top, height: bottom - top, visibility });
    });
    strip.classList.toggle("fixed", final !== null);
    const score = (one) => accuracy(one, training.test);
    const [asItIs, assigned] = [training.network, now.network].map(score);
    asIs.number.textContent = (final ? assigned : asItIs).toFixed(2);
    ifAssigned.number.textContent = clustering ? assigned.toFixed(2) : "–";
    const share = `${clustering ? Math.round(100 * now.zeros) : 0} %`;
    zeros.number.textContent = share;
    zeros.name.textContent = `of the weights ${clustering && !final ? "would be" : "are"} zero`;
    const plain = 32 * weights.length;
    bits.number.textContent = text(clustering ? now.bits : plain);
    bits.name.textContent = clustering ? `bits, instead of ${text(plain)}` : "bits as float32";
    const spoken = `accuracy ${asIs.number.textContent}`;
    strip.setAttribute("aria-label", `Each weight as a dot, by layer; ${share} ${zeros.name.textContent}`);
    map.node.setAttribute("aria-label", `The classes that the network answers on a square; ${spoken}`);
    main.textContent = command();
    fix.disabled = !clustering || final !== null;
    const said = final ? verdict(asItIs, assigned, share) : progress();
    if (status.textContent !== said) status.textContent = said;
  }

  function command() {
    if (work.going()) return "Pause";
    if (training.done()) return "Other points";
    if (training.steps() === settings.first) return "Cluster";
    return training.steps() ? "Go on" : "Train";
  }

  function progress() {
    const clustering = training.steps() > settings.first;
    if (work.going())
      return clustering ? "Step 2: the prior gathers the weights …" : "Step 1: it learns the points …";
    if (training.done()) return "Step 2 is done. Assign: every weight becomes the mean of its component.";
    if (clustering) return "Stopped on the way. Go on, or assign already.";
    if (training.steps() === settings.first) return "Step 1 is done. Choose a strength, and cluster.";
    if (training.steps()) return "Stopped on the way.";
    return "A network with random weights. Guess how many will be left, and train.";
  }

  /** What came of it: accuracy now and assigned, against that of step 1. */
  function verdict(asItIs, assigned, share) {
    const learnt = accuracy(training.firstOnly(), training.test);
    if (assigned > learnt - 0.1)
      return `Every weight is zero or one of ${counted(final.levels, "value")}; the answers hardly changed.`;
    const wide = training.mixture()[0].precision < settings.zero[0] / settings.zero[1] / 10;
    if (asItIs > learnt - 0.05)
      return wide
        ? "Too weak: the weights had not gathered, and assigning moved them too far."
        : "Some weights lay between the clusters, and assigning moved them too far.";
    return `Too strong: ${share} of the weights are zero, and answers have gone with them.`;
  }

  const reset = () => {
    if (training.steps() <= settings.first) return;
    work.stop();
    training.restart();
    final = null;
  };
  return followTraining(model, ["tau"], { reset, draw, work }, root);
}

export default { render };
