
// The figure "Distil": a teacher, and two students that learn from the same few points.
// The texts of dom.js and learn.js stand above.

// Mathematics: the same as nnc.distillation_loss

/** (1 - alpha) CE + alpha T² KL for one point, and its slopes by the student's logits. */
export function distillation(logits, label, taught, temperature, alpha) {
  const soft = (row) => softmax(Array.from(row, (value) => value / temperature));
  const hard = crossEntropy(logits, label);
  const [p, q] = [soft(taught), soft(logits)];
  const apart = p.reduce((sum, share, c) => sum + (share > 0 ? share * Math.log(share / q[c]) : 0), 0);
  return {
    value: (1 - alpha) * hard.value + alpha * temperature ** 2 * apart,
    slopes: hard.slopes.map((slope, c) => (1 - alpha) * slope + alpha * temperature * (q[c] - p[c])),
  };
}

/** A network with its optimiser, which learns from points by a given loss. */
function learner(network, points, loss, steps, rate) {
  const move = adam(network.values);
  let done = 0;
  return {
    network,
    step() {
      const { gradient } = errorOver(network, points.places, loss);
      move(gradient, rate * (1 - done / steps));
      done += 1;
    },
    done: () => done >= steps,
  };
}

/** A teacher of many points, from a seed. */
export function teacherOf({ many, noise, teacher, steps, rate }, seed) {
  const random = randomOf(seed);
  const points = spiral(many, noise, random);
  const test = spiral(600, noise, random);
  const network = networkOf(teacher, random);
  const loss = (logits, n) => crossEntropy(logits, points.labels[n]);
  return { points, test, ...learner(network, points, loss, steps, rate) };
}

/** Two students with the same weights at the start and the same few of the teacher's points. */
export function studentsOf({ student, steps, rate }, teacher, { count, temperature, alpha }, seed) {
  const random = randomOf(1000 + seed);
  const classes = [0, 1, 2].map((label) => {
    const all = teacher.points.labels.flatMap((one, n) => (one === label ? [n] : []));
    return all.map((n) => [random(), n]).sort((a, b) => a[0] - b[0]).map(([, n]) => n);
  });
  const chosen = classes.flatMap((all) => all.slice(0, count / 3));
  const points = {
    places: Float64Array.from(chosen.flatMap((n) => [...teacher.points.places.subarray(2 * n, 2 * n + 2)])),
    labels: chosen.map((n) => teacher.points.labels[n]),
  };
  const said = forward(teacher.network, points.places).at(-1);
  const losses = [
    (logits, n) => crossEntropy(logits, points.labels[n]),
    (logits, n) =>
      distillation(logits, points.labels[n], said.subarray(3 * n, 3 * n + 3), temperature, alpha),
  ];
  const start = networkOf(student, random);
  const pupils = losses.map((loss) => {
    const network = { layers: start.layers, values: Float64Array.from(start.values) };
    return learner(network, points, loss, steps, rate);
  });
  return { points, pupils };
}

// The figure

const WARMTHS = [1, 1.5, 2, 3, 4, 5, 7, 10, 14, 20]; // of T on its slider
const percent = (share) => `${(100 * share).toFixed(0)} %`;

function render({ model, el }) {
  const settings = model.get("settings");
  const change = changing(model);
  const [first, names] = [model.get("seed"), ["count", "temperature", "alpha"]];
  const teacher = teacherOf(settings, first);
  let draws = 0; // of few points
  let lesson = null;
  const results = new Map(); // settings → whole trainings, each [labels only, taught]

  const root = figureIn(el, "distil", "a teacher and two students");
  const counts = settings.counts.map((count) => ({ title: "", spoken: `${count} labelled points` }));
  const radios = radioButtons(root, "Labelled points for the students", counts, (i) =>
    change({ count: settings.counts[i] }),
  );
  radios.forEach(({ holder }, i) => add(holder, "span", {}, settings.counts[i]));
  const bar = add(root, "div", { class: "bar" });
  const main = button(bar, "Train", () => {
    if (work.going()) work.stop();
    else {
      if (lesson?.pupils[1].done()) {
        draws += 1;
        lesson = null;
      }
      work.start();
    }
    draw();
  });
  main.className = "main";
  const warmth = range(bar, "temperature", 0, WARMTHS.length - 1, (place) =>
    change({ temperature: WARMTHS[place] }),
  );
  const weight = range(bar, "alpha, weight of the teacher", 0, 20, (place) =>
    change({ alpha: place / 20 }),
  );
  const panels = add(root, "div", { class: "panels" });
  const [master, alone, taught] = ["teacher", "student, labels only", "student, taught"].map((name) => {
    const panel = add(panels, "div");
    const title = add(panel, "p", { class: "title" }, name);
    const map = mapIn(panel, 232);
    return { name, title, map, number: add(panel, "p", { class: "number" }) };
  });
  const status = add(root, "p", { class: "status", role: "status" });

  const table = tableBelow(root, "Every setting so far");
  const key = () => names.map((name) => model.get(name)).join();
  const now = () => Object.fromEntries(names.map((name) => [name, model.get(name)]));

  const work = worker(
    () => {
      if (!teacher.done()) {
        for (let i = 0; i < 8 && !teacher.done(); i++) teacher.step();
        return false;
      }
      lesson ??= studentsOf(settings, teacher, now(), first + draws);
      for (let i = 0; i < 6 && !lesson.pupils[1].done(); i++)
        for (const pupil of lesson.pupils) pupil.step();
      if (!lesson.pupils[1].done()) return false;
      const past = results.get(key()) ?? [];
      past.push(lesson.pupils.map(({ network }) => accuracy(network, teacher.test)));
      results.set(key(), past);
      return true;
    },
    () => draw(),
  );

  function show({ name, map, number }, network, points, temperature) {
    drawAnswers(map, network, temperature);
    drawPoints(map, points);
    const found = percent(accuracy(network, teacher.test));
    number.textContent = `${found} right`;
    map.node.setAttribute("aria-label", `The classes that the ${name} answers on a square; ${found} right`);
  }

  function draw() {
    const { count, temperature, alpha } = now();
    radios.forEach(({ input }, i) => (input.checked = settings.counts[i] === count));
    warmth.input.value = WARMTHS.filter((one) => one <= temperature).length - 1;
    warmth.input.setAttribute("aria-valuetext", `temperature ${temperature}`);
    warmth.caption.textContent = `T = ${temperature}`;
    weight.input.value = Math.round(20 * alpha);
    weight.input.setAttribute("aria-valuetext", `alpha ${alpha}`);
    weight.caption.textContent = `α = ${alpha}`;
    show(master, teacher.network, teacher.points, temperature);
    const drawn = lesson ?? studentsOf(settings, teacher, now(), first + draws);
    master.title.textContent = `teacher, at T = ${temperature}`;
    [alone, taught].forEach((panel, i) => show(panel, drawn.pupils[i].network, drawn.points));
    say(drawn.pupils[1].done());
  }

  function say(finished) {
    const going = work.going();
    main.textContent = going ? "Pause" : finished ? "Other points" : lesson ? "Go on" : "Train";
    const mean = (past, i) => percent(past.reduce((sum, one) => sum + one[i], 0) / past.length);
    const past = results.get(key());
    const words = () => {
      if (going) return teacher.done() ? "The students learn …" : "First the teacher learns …";
      if (!past) return "Both students start alike, on the same points. Guess who wins, then train.";
      const ahead = past.filter(([a, b]) => b > a).length;
      const means = `labels only ${mean(past, 0)} right, taught ${mean(past, 1)}`;
      return `${counted(past.length, "training")} at these settings: ${means}. Taught was ahead in ${ahead}.`;
    };
    const said = words();
    if (status.textContent !== said) status.textContent = said;
    if (going) return;
    const row = ([set, some]) => [...set.split(","), some.length, mean(some, 0), mean(some, 1)];
    const heads = ["points", "T", "α", "trainings", "labels only", "taught"];
    fill(table, heads, [...results].map(row));
  }

  const reset = () => {
    if (teacher.done()) work.stop();
    lesson = null;
  };
  return followTraining(model, names, { reset, draw, work }, root);
}

export default { render };
