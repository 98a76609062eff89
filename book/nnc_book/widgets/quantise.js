
// The figure "Prune and quantise": components merge, take weights, and set them to their means.
// The text of dom.js stands above.

const Y = { density: [26, 176], band: 180, before: 226, after: 326, bottom: 356 }; // in px
const FLOOR = -6; // decades below the highest density that are drawn

// Mathematics: the same as nnc.merge and nnc.assign

/** Merge the closest pair (symmetrised KL) until none is below the threshold. */
export function merge({ means, sigmas, shares }, threshold) {
  const parts = means.map((mean, j) => ({ mean, variance: sigmas[j] ** 2, share: shares[j] }));
  const distance = (p, q) => {
    const d = (p.mean - q.mean) ** 2;
    return ((p.variance + d) / q.variance + (q.variance + d) / p.variance) / 2 - 1;
  };
  for (;;) {
    let closest = { apart: threshold };
    for (let i = 0; i < parts.length; i++) {
      for (let j = i + 1; j < parts.length; j++) {
        const apart = distance(parts[i], parts[j]);
        if (apart < closest.apart) closest = { apart, i, j };
      }
    }
    if (closest.i === undefined) break;
    const { i, j } = closest;
    parts[i] = together(parts[i], parts[j], i === 0);
    parts.splice(j, 1);
  }
  const rest = parts.slice(1).sort((p, q) => p.mean - q.mean);
  return [parts[0], ...rest];
}

function together(p, q, withZero) {
  const share = p.share + q.share;
  const [a, b] = share > 0 ? [p.share / share, q.share / share] : [0.5, 0.5];
  const mean = withZero ? 0 : a * p.mean + b * q.mean;
  const spread = (one) => one.variance + (one.mean - mean) ** 2;
  return { mean, variance: a * spread(p) + b * spread(q), share };
}

/** log of share × density of every component, or of the density alone by likelihood. */
export function scores(w, parts, by) {
  return parts.map(({ mean, variance, share }) => {
    const density = -((w - mean) ** 2 / variance + Math.log(2 * Math.PI * variance)) / 2;
    return by === "responsibility" ? density + Math.log(share) : density;
  });
}

/** Which component takes a weight. */
export function owner(w, parts, by) {
  const found = scores(w, parts, by);
  return found.indexOf(Math.max(...found));
}

// The figure

const text = (value, digits = 3) => Number(value.toFixed(digits)).toString().replace("-", "−");
const kind = (j) => (j === 0 ? "zero" : "components");

function render({ model, el }) {
  const given = Object.fromEntries(["means", "sigmas", "shares"].map((n) => [n, model.get(n)]));
  const [weights, settings] = [model.get("weights"), model.get("settings")];
  const thresholds = [...new Set(settings.map(({ threshold }) => threshold))];

  const change = changing(model);
  const root = figureIn(el, "quantise", "components take weights");
  const bar = add(root, "div", { class: "bar" });
  const rules = ["responsibility", "likelihood"].map((by) => {
    const node = button(bar, `By ${by}`, () => change({ by }));
    node.disabled = settings.every((one) => one.by !== by);
    return [by, node];
  });
  const merging = range(bar, "threshold of merging", 0, thresholds.length - 1, (i) =>
    change({ threshold: thresholds[i] }),
  );
  const one = range(bar, "one weight", 0, 200, (i) => change({ cursor: i / 100 - 1 }));
  const picture = add(root, "svg", { role: "img" });
  const status = add(root, "p", { class: "status", role: "status" });
  const table = tableBelow(root, "The components and every setting");

  function draw() {
    const [by, threshold, cursor] = ["by", "threshold", "cursor"].map((name) => model.get(name));
    const parts = merge(given, threshold);
    const width = roomIn(root);
    const x = (w) => 16 + ((w + 1) / 2) * (width - 32);
    picture.replaceChildren();
    put(picture, { viewBox: `0 0 ${width} ${Y.bottom + 40}`, width, height: Y.bottom + 40 });
    for (const w of [-1, -0.5, 0, 0.5, 1]) {
      add(picture, "path", { d: `M${x(w)} ${Y.density[0]}V${Y.bottom}`, class: "grid" });
      add(picture, "text", { x: x(w), y: Y.bottom + 17, class: "middle" }, text(w, 1));
    }
    add(picture, "text", { x: width / 2, y: Y.bottom + 36, class: "middle" }, "weight w");
    const what = by === "responsibility" ? "share × density" : "density alone";
    const titles = [[Y.density[0] - 10, `${what}, logarithmic`], [Y.before - 8, "weights before"]];
    titles.push([Y.after + 26, "and after"]);
    for (const [y, words] of titles) add(picture, "text", { x: 16, y, class: "title" }, words);
    curves(parts, by, x);
    const owners = weights.map((w) => owner(w, parts, by));
    drop(parts, owners, x);
    const d = `M${x(cursor)} ${Y.density[0]}V${Y.before}`;
    add(picture, "path", { d, class: "cursor" });
    say(parts, by, threshold, cursor);
    tabulate(parts);
  }

  /** Each component's curve, and below them who takes a weight there. */
  function curves(parts, by, x) {
    const points = Array.from({ length: 401 }, (_, i) => -1 + i / 200);
    const rows = points.map((w) => scores(w, parts, by));
    const top = Math.max(...rows.flat());
    const [high, low] = Y.density;
    const y = (score) => high + Math.min(1, (top - score) / (-FLOOR * Math.LN10)) * (low - high);
    const bottom = low.toFixed(1);
    parts.forEach((_, j) => {
      const places = rows.map((row) => y(row[j]).toFixed(1));
      const seen = (i) => [i - 1, i, i + 1].some((k) => places[k] && places[k] !== bottom);
      const d = points.map((w, i) =>
        seen(i) ? `${seen(i - 1) ? "L" : "M"}${x(w).toFixed(1)} ${places[i]}` : "",
      );
      add(picture, "path", { d: d.join("").replace(/^L/, "M"), class: `part ${kind(j)}` });
    });
    const takes = points.map((w) => owner(w, parts, by));
    for (let i = 0, from = 0; i < points.length; i++) {
      if (takes[i] === takes[i + 1]) continue;
      const [left, right] = [points[from], points[i + 1] ?? 1].map(x);
      const size = { x: left, y: Y.band, width: right - left - 1, height: 20 };
      add(picture, "rect", { ...size, class: kind(takes[i]) });
      from = i + 1;
    }
  }

  /** Every weight falls to the mean of the component that takes it. */
  function drop(parts, owners, x) {
    const order = weights.map((_, i) => i).sort((a, b) => (owners[a] > 0) - (owners[b] > 0));
    for (const i of order) {
      const [from, to] = [x(weights[i]), x(parts[owners[i]].mean)].map((v) => v.toFixed(1));
      const d = `M${from} ${Y.before + 14}L${to} ${Y.after - 14}`;
      add(picture, "path", { d, class: `way ${kind(owners[i])}` });
      add(picture, "path", { d: `M${from} ${Y.before}v14`, class: `tick ${kind(owners[i])}` });
    }
    for (const j of new Set(owners)) {
      const d = `M${x(parts[j].mean).toFixed(1)} ${Y.after - 14}v14`;
      add(picture, "path", { d, class: `tick ${kind(j)}`, "stroke-width": 4 });
    }
  }

  function say(parts, by, threshold, cursor) {
    rules.forEach(([rule, node]) => node.setAttribute("aria-pressed", String(rule === by)));
    merging.caption.textContent = `merge below ${text(threshold)} nats`;
    merging.input.value = thresholds.indexOf(threshold);
    const spoken = `components closer than ${threshold} nats are merged`;
    merging.input.setAttribute("aria-valuetext", spoken);
    one.caption.textContent = `w = ${text(cursor, 2)}`;
    one.input.value = Math.round(100 * (cursor + 1));
    const taken = owner(cursor, parts, by);
    const share = softmax(scores(cursor, parts, by))[taken];
    const becomes = taken ? `the component at ${text(parts[taken].mean)}` : "the zero component";
    const sure = by === "responsibility" ? ` (responsibility ${share.toFixed(2)})` : "";
    const goes = `A weight of ${text(cursor, 2)} goes to ${becomes}${sure}`;
    const words = `${goes} and becomes ${text(parts[taken].mean)}.`;
    one.input.setAttribute("aria-valuetext", words.replaceAll("−", "-"));
    status.replaceChildren(`${given.means.length} components become ${parts.length}. `);
    const found = settings.find((row) => row.by === by && row.threshold === threshold);
    if (found) {
      add(status, "strong", {}, `Accuracy ${found.accuracy.toFixed(3)}`);
      status.append(`, sparsity ${found.sparsity.toFixed(3)}, ${counted(found.levels, "level")}. `);
    }
    status.append(words);
    const counts = `${parts.length} components after merging, by ${by}`;
    picture.setAttribute("aria-label", `Densities, bands of assignment and weights; ${counts}`);
  }

  function tabulate(parts) {
    const rows = parts.map((p) => [p.mean, Math.sqrt(p.variance), p.share].map((v) => text(v, 4)));
    const network = settings.map((row) => [
      `by ${row.by}, below ${text(row.threshold)}`,
      ...[row.accuracy, row.sparsity].map((v) => v.toFixed(3)),
      row.levels,
    ]);
    fill(table, ["component", "mean", "sigma", "share"], rows.map((row, j) => [j, ...row]));
    const second = add(table, "tbody");
    fill(second, ["setting", "accuracy", "sparsity", "levels"], network);
  }

  picture.onpointerdown = picture.onpointermove = (event) => {
    if (event.type === "pointermove" && !event.buttons) return;
    const box = picture.getBoundingClientRect();
    const w = ((event.clientX - box.left - 16) / (box.width - 32)) * 2 - 1;
    change({ cursor: Math.round(100 * Math.max(-1, Math.min(1, w))) / 100 });
  };

  return follow(model, ["by", "threshold", "cursor"], draw, root);
}

export default { render };
