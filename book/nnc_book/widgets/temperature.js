// The figure "Temperature": a teacher's soft targets for an image, from one-hot to uniform.

const LIMITS = [0.5, 100]; // of T, on a logarithmic scale
const STEPS = 200; // of the slider
const FLOOR = 1e-6; // the left end of the logarithmic scale of probabilities

// Mathematics: the same as nnc.soft_targets, to 1e-9

/** softmax(logits / T). */
export const softTargets = (logits, temperature) =>
  softmax(logits.map((value) => value / temperature));

/** In bits; a class without probability adds nothing. */
export function entropy(probabilities) {
  return probabilities.reduce((sum, p) => sum - (p > 0 ? p * Math.log2(p) : 0), 0);
}

/** From 0 to STEPS to a temperature, and back. */
export const temperatureAt = (place) => LIMITS[0] * (LIMITS[1] / LIMITS[0]) ** (place / STEPS);
export const placeOf = (temperature) =>
  Math.round((STEPS * Math.log(temperature / LIMITS[0])) / Math.log(LIMITS[1] / LIMITS[0]));

/** Three digits, and powers of ten for what is very small. */
export function shown(p) {
  if (p >= 0.0005) return p.toFixed(3);
  if (p < 1e-99) return "0";
  const [digits, power] = p.toExponential(0).split("e-");
  return `${digits} · 10⁻${[...power].map((c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c]).join("")}`;
}

// Small helpers

const kindOf = (data) => (data.startsWith("/9j/") ? "image/jpeg" : "image/png");
const degrees = (t) => (t < 9.95 ? t.toFixed(1) : t.toFixed(0));

// The figure

function render({ model, el }) {
  const [classes, logits, labels] = ["classes", "logits", "labels"].map((name) => model.get(name));
  const thumbnails = model.get("thumbnails");
  let timer = null;
  let logarithmic = false;

  const change = changing(model);
  const root = figureIn(el, "temperature", "soft targets at a temperature");

  const images = labels.map((label, index) => ({
    title: classes[label],
    spoken: `image ${index + 1}, ${classes[label]}`,
  }));
  const choose = (index) => change({ chosen: index });
  const radios = radioButtons(root, "Image, named by its label", images, choose);
  radios.forEach(({ holder }, index) => {
    const data = thumbnails[index];
    if (data) add(holder, "img", { alt: "", src: `data:${kindOf(data)};base64,${data}` });
    else add(holder, "span", {}, `${index + 1}: ${classes[labels[index]]}`);
  });

  const bar = add(root, "div", { class: "bar" });
  const { input: slider, caption } = range(bar, "temperature", 0, STEPS, (place) => {
    stop();
    change({ temperature: temperatureAt(place) });
  });
  const play = button(bar, "", () => (timer ? stop() : run()));
  play.className = "play";
  const scale = button(bar, "Logarithmic scale", () => {
    logarithmic = !logarithmic;
    draw();
  });

  const chart = add(root, "div", { class: "chart", role: "img" });
  const bars = classes.map((name) => {
    const row = add(chart, "div", { class: "row" });
    const says = add(row, "span", { class: "name" }, name);
    const length = add(add(row, "span", { class: "track" }), "span", { class: "length" });
    return { says, length, number: add(row, "span", { class: "number" }) };
  });
  const axis = add(add(chart, "div", { class: "row axis" }), "span", { class: "ends" });
  const [least] = ["", "1"].map((text) => add(axis, "span", {}, text));
  const status = add(root, "p", { class: "status", role: "status" });
  const table = tableBelow(root, "Logits and soft targets");

  /** Up to T = 20 and back, one round of 200 pictures. */
  function run() {
    if (calm()) return;
    let turn = 0;
    play.textContent = "Pause";
    status.setAttribute("aria-live", "off"); // not one announcement per picture
    timer = setInterval(() => {
      turn += 1;
      const up = (1 - Math.cos((2 * Math.PI * turn) / 200)) / 2;
      change({ temperature: 20 ** up });
      if (turn === 200 || calm()) stop();
    }, 50);
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
    status.setAttribute("aria-live", "polite");
  }

  function draw() {
    const t = model.get("temperature");
    const index = model.get("chosen");
    const p = softTargets(logits[index], t);
    radios[index].input.checked = true;
    slider.value = placeOf(t);
    slider.setAttribute("aria-valuetext", `temperature ${degrees(t)}`);
    caption.textContent = `T = ${degrees(t)}`;
    scale.setAttribute("aria-pressed", String(logarithmic));
    bars.forEach((one, c) => {
      const right = c === labels[index];
      one.says.textContent = right ? `✓ ${classes[c]}` : classes[c];
      one.says.classList.toggle("label", right);
      const log = 1 - Math.log(Math.max(p[c], FLOOR)) / Math.log(FLOOR);
      one.length.style.width = `${100 * (logarithmic ? log : p[c])}%`;
      one.number.textContent = shown(p[c]);
    });
    least.textContent = logarithmic ? "10⁻⁶ or less" : "0";
    say(p, t, index);
    tabulate(p, t, index);
  }

  function say(p, t, index) {
    const ranked = [...p].sort((a, b) => b - a);
    const bits = entropy(p);
    const ratio = ranked[2] > 0 ? (ranked[1] / ranked[2]).toPrecision(3) : "very large";
    const first = classes[p.indexOf(ranked[0])];
    status.replaceChildren(`The label says ${classes[labels[index]]} (✓), the teacher ${first} first. `);
    add(status, "strong", {}, `Entropy ${bits.toFixed(2)} of ${Math.log2(p.length).toFixed(2)} bits`);
    status.append(`, as many as ${(2 ** bits).toFixed(1)} equal classes. `);
    status.append(`First: ${shown(ranked[0])}. `);
    if (p.length > 2) status.append(`Second to third: ${Number(ratio) || ratio} to 1.`);
    const scaleName = logarithmic ? "logarithmic" : "linear";
    const words = classes.map((name, c) => `${name} ${shown(p[c])}`).join(", ");
    chart.setAttribute("aria-label", `Soft targets, T = ${degrees(t)}, ${scaleName}: ${words}`);
  }

  function tabulate(p, t, index) {
    const one = softTargets(logits[index], 1);
    const row = (name, c) => [name, logits[index][c].toFixed(2), shown(one[c]), shown(p[c])];
    fill(table, ["class", "logit", "T = 1", `T = ${degrees(t)}`], classes.map(row));
  }

  stop();
  const end = follow(model, ["temperature", "chosen"], draw);
  return () => {
    stop();
    end();
  };
}

export default { render };
