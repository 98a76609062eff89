
// Networks decoded from their files answer a drawing: for "Draw a digit" and "On paper".
// The texts of dom.js and sws.js stand above.

const SIDE = 28; // pixels of what a network sees
const BOX = 20; // pixels that the longer side of a drawing is scaled to
const PAD = 280; // pixels of the drawing
const PEN = 24;

// Mathematics

/** The layers of a network from its file: weights row by row, and biases, in the file's order. */
export function layersOf(bytes) {
  const tensors = decode(bytes);
  return [...tensors]
    .filter(([name]) => name.endsWith(".weight"))
    .map(([name, { shape, values }]) => ({
      inputs: shape[1],
      taps: shape[3], // of a row of a kernel; a linear layer has none
      weights: values,
      biases: tensors.get(name.replace(/weight$/, "bias")).values,
    }));
}

/**
 * What a network says of pixels from 0 to 255: convolutions, each with a pool of 2 × 2 behind it,
 * then linear layers with ReLU between them.
 */
export function logitsOf(layers, pixels) {
  let [x, side] = [Array.from(pixels, (pixel) => pixel / 255), SIDE];
  layers.forEach((layer, depth) => {
    if (layer.taps) [x, side] = convolved(layer, x, side);
    else x = linear(layer, depth && !layers[depth - 1].taps ? x.map((v) => Math.max(0, v)) : x);
  });
  return x;
}

function linear({ inputs, weights, biases }, heard) {
  return Array.from(biases, (bias, row) => {
    let sum = bias;
    for (let i = 0; i < inputs; i++) sum += weights[row * inputs + i] * heard[i];
    return sum;
  });
}

function convolved({ inputs, taps, weights, biases }, x, side) {
  const [wide, half, size] = [side - taps + 1, (side - taps + 1) / 2, inputs * taps * taps];
  const found = Array.from(biases, (bias, channel) => {
    const map = new Float64Array(wide * wide).fill(bias);
    for (let k = 0; k < size; k++) {
      const weight = weights[channel * size + k];
      if (!weight) continue; // most of them
      const row = Math.floor(k / taps / taps) * side + (Math.floor(k / taps) % taps);
      const start = row * side + (k % taps);
      map.forEach((_, i) => (map[i] += weight * x[start + Math.floor(i / wide) * side + (i % wide)]));
    }
    return Array.from({ length: half * half }, (_, i) => {
      const at = 2 * (Math.floor(i / half) * wide + (i % half));
      return Math.max(map[at], map[at + 1], map[at + wide], map[at + wide + 1]);
    });
  });
  return [found.flat(), half];
}

/** The smallest box around what is drawn: left, top, size of the longer side; null if nothing is. */
function boxOf(ink, side) {
  let [left, right, top, bottom] = [side, -1, side, -1];
  ink.forEach((value, i) => {
    if (value < 16) return;
    const [y, x] = [Math.floor(i / side), i % side];
    [left, right] = [Math.min(left, x), Math.max(right, x)];
    [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
  });
  if (right < 0) return null;
  return { left, top, width: right - left + 1, height: bottom - top + 1 };
}

/** The mean of the ink in a rectangle, its edges counted by the share that lies inside. */
function meanOf(ink, side, x0, x1, y0, y1) {
  let sum = 0;
  for (let y = Math.floor(y0); y < Math.min(y1, side); y++) {
    const high = Math.min(y + 1, y1) - Math.max(y, y0);
    for (let x = Math.floor(x0); x < Math.min(x1, side); x++) {
      sum += ink[y * side + x] * high * (Math.min(x + 1, x1) - Math.max(x, x0));
    }
  }
  return sum / ((x1 - x0) * (y1 - y0));
}

/**
 * A drawing as MNIST's digits were made: scaled into 20 × 20 pixels keeping its shape, and placed
 * so that its centre of mass is the centre of 28 × 28 pixels.
 *
 * @param {ArrayLike<number>} ink side × side values, 0 to 255.
 * @returns {number[]} 784 pixels, 0 to 255.
 */
export function centred(ink, side) {
  const pixels = Array(SIDE * SIDE).fill(0);
  const box = boxOf(ink, side);
  if (!box) return pixels;
  const scale = Math.max(box.width, box.height) / BOX;
  const [columns, rows] = [box.width, box.height].map((size) => Math.max(1, Math.round(size / scale)));
  const small = [];
  let [mass, mx, my] = [0, 0, 0];
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const [left, top] = [box.left + (x * box.width) / columns, box.top + (y * box.height) / rows];
      const value = meanOf(ink, side, left, left + box.width / columns, top, top + box.height / rows);
      small.push(value);
      mass += value;
      mx += x * value;
      my += y * value;
    }
  }
  const start = (moment, size) =>
    Math.max(0, Math.min(SIDE - size, Math.round(SIDE / 2 - moment / mass)));
  const [left, top] = [start(mx, columns), start(my, rows)];
  small.forEach((value, i) => {
    const [y, x] = [top + Math.floor(i / columns), left + (i % columns)];
    pixels[y * SIDE + x] = Math.round(Math.min(255, value));
  });
  return pixels;
}

// Small helpers

const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const count = (value) => Math.round(value).toLocaleString("en");

function paint(canvas, pixels) {
  const context = canvas.getContext("2d");
  const picture = context.createImageData(SIDE, SIDE);
  pixels.forEach((value, i) => picture.data.set([value, value, value, 255], 4 * i));
  context.putImageData(picture, 0, 0);
}

// The figure

function answering({ model, el }) {
  const names = model.get("names");
  const files = model.get("files").map(bytesOf);
  const digits = model.get("digits").map(bytesOf);
  const labels = model.get("labels");
  let networks = null; // decoded after the figure is first shown
  let last = null; // the pen's last place while it is down

  const change = changing(model);
  const root = figureIn(el, "digit", "draw a digit");
  const desk = add(root, "div", { class: "desk" });
  const left = add(desk, "div");
  const pad = add(left, "canvas", { class: "pad paper", width: PAD, height: PAD, role: "img" });
  pad.setAttribute("aria-label", "Draw here with a pointer; with a keyboard, choose a digit below");
  const right = add(desk, "div");
  const seen = add(right, "canvas", { class: "seen", width: SIDE, height: SIDE, role: "img" });
  add(right, "p", {}, "What the networks see: 28 × 28 pixels, centred by mass");
  const bar = add(root, "div", { class: "bar" });
  button(bar, "Clear", () => {
    wipe();
    change({ image: Array(SIDE * SIDE).fill(0) });
  });

  const things = labels.map((label, index) => ({
    title: label,
    spoken: `digit ${index + 1}, a ${label}`,
  }));
  const choice = "Draw above, or choose a digit, named by its label";
  const radios = radioButtons(root, choice, things, (index) => {
    wipe();
    change({ image: [...digits[index]] });
  });
  radios.forEach(({ holder }, index) => {
    paint(add(holder, "canvas", { width: SIDE, height: SIDE }), digits[index]);
  });

  const legend = add(root, "ul");
  const chart = add(root, "div", { role: "img" });
  const bars = Array.from({ length: 10 }, (_, digit) => {
    const row = add(chart, "div", { class: "row" });
    const name = add(row, "span", {}, digit);
    const track = add(row, "span", { class: "track" });
    const lengths = names.map((_, n) => add(track, "span", { class: `length n${n}` }));
    return { name, lengths, number: add(row, "span", { class: "number" }) };
  });
  const status = add(root, "p", { class: "status", role: "status" }, "Decoding the files …");
  const table = tableBelow(root, "Logits and probabilities");

  const pen = pad.getContext("2d", { willReadFrequently: true });
  const wipe = () => pen.clearRect(0, 0, PAD, PAD);

  const place = (event) => {
    const box = pad.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top].map((v) => (v * PAD) / box.width);
  };

  function stroke(to) {
    pen.strokeStyle = getComputedStyle(pad).color;
    pen.lineWidth = PEN;
    pen.lineCap = "round";
    pen.beginPath();
    pen.moveTo(...last);
    pen.lineTo(to[0] + 0.01, to[1]); // a line of no length leaves no dot
    pen.stroke();
    last = to;
    const { data } = pen.getImageData(0, 0, PAD, PAD);
    const ink = Array.from({ length: PAD * PAD }, (_, i) => data[4 * i + 3]);
    change({ image: centred(ink, PAD) });
  }

  pad.onpointerdown = (event) => {
    if (!leads(event)) return;
    event.preventDefault();
    pad.setPointerCapture(event.pointerId);
    last = place(event);
    stroke(last);
  };
  pad.onpointermove = (event) => last && event.isPrimary && stroke(place(event));
  pad.onpointerup = pad.onpointercancel = (event) => event.isPrimary && (last = null);

  /** Sizes are those of the files; the original is every parameter as float32. */
  function describe() {
    const numbers = networks[0].reduce((sum, one) => sum + one.weights.length + one.biases.length, 0);
    names.forEach((name, n) => {
      const smaller = Math.round((4 * numbers) / files[n].length);
      const words = `${name}: ${count(files[n].length)} bytes, ${smaller} times smaller`;
      add(legend, "li", { class: `n${n}` }, words);
    });
    const words = `As float32 numbers, the ${count(numbers)} parameters take ${count(4 * numbers)} bytes.`;
    add(legend, "li", { class: "plain" }, words);
  }

  function draw() {
    const image = model.get("image");
    paint(seen, image);
    const same = (pixels) => pixels.every((value, i) => value === image[i]);
    const chosen = digits.findIndex(same);
    radios.forEach(({ input }, index) => (input.checked = index === chosen));
    if (networks) answer(image, chosen);
  }

  function answer(image, chosen) {
    const empty = image.every((value) => value === 0);
    const logits = networks.map((layers) => logitsOf(layers, image));
    const shares = logits.map(softmax);
    const best = shares.map((p) => p.indexOf(Math.max(...p)));
    bars.forEach(({ name, lengths, number }, digit) => {
      name.className = !empty && best[0] === digit ? "first" : "";
      lengths.forEach((one, n) => (one.style.width = empty ? 0 : `${100 * shares[n][digit]}%`));
      number.textContent = empty ? "–" : shares.map((p) => p[digit].toFixed(3)).join("   ");
    });
    const said = names.map((name, n) => `${name}: ${best[n]}, probability ${shares[n][best[n]].toFixed(2)}`);
    const words = empty ? "Nothing is drawn." : `${said.join("; ")}.`;
    status.textContent = chosen < 0 || empty ? words : `The label says ${labels[chosen]}. ${words}`;
    seen.setAttribute("aria-label", empty ? "an empty image" : `the image that ${words}`);
    chart.setAttribute("aria-label", `Probabilities of the ten digits. ${words}`);
    tabulate(logits, shares, empty);
  }

  function tabulate(logits, shares, empty) {
    const say = (value) => (empty ? "–" : value.toFixed(4));
    const numbers = (digit) => (_, n) => [logits[n][digit], shares[n][digit]].map(say);
    const rows = bars.map((_, digit) => [digit, ...names.flatMap(numbers(digit))]);
    fill(table, ["digit", ...names.flatMap((name) => [`logit, ${name}`, "probability"])], rows);
  }

  const end = follow(model, ["image"], draw);
  const timer = setTimeout(() => {
    try {
      networks = files.map(layersOf);
      describe();
      draw();
    } catch (error) {
      status.textContent = error.message;
    }
  });
  return () => {
    clearTimeout(timer);
    end();
  };
}
