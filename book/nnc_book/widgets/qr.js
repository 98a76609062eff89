// A reader of QR codes (ISO/IEC 18004) of level L and versions 10 to 40, which hold from 231 bytes
// to 2,953. The text of sws.js stands above.

// For each version bytes of correction in a block, and blocks; a digit to base 36 each.
const CORRECTION = "ikoqumosussssuuqsuuuuuuuuuuuuuu";
const BLOCKS = "44444666678899acccdefghijjklmop";
const entry = (table, version) => parseInt(table[version - 10], 36);

/** Whether a module's colour is turned round under one of eight masks. */
function masked(mask, x, y) {
  const [sum, two, three] = [x + y, (x * y) % 2, (x * y) % 3];
  const blocks = Math.floor(x / 3) + Math.floor(y / 2);
  const all = [sum % 2, y % 2, x % 3, sum % 3, blocks % 2, two + three, (two + three) % 2];
  return (all[mask] ?? (sum + three) % 2) === 0;
}

/** Columns, which are rows too, on which alignment patterns are centred. */
function alignments(version) {
  const last = Math.floor(version / 7) + 1;
  const step = version === 32 ? 26 : 2 * Math.ceil((2 * version + 2) / last);
  return Array.from({ length: last + 1 }, (_, i) => (i ? 4 * version + 10 - (last - i) * step : 6));
}

/** Whether a large corner stands in place of an alignment pattern. */
const isCorner = (i, j, end) => i % end === 0 && j % end === 0 && i + j < 2 * end;

/** Whether a module finds, times, aligns or names the code, and holds no data. */
function fixedIn(version) {
  const side = 4 * version + 17;
  const lines = alignments(version);
  const near = (x) => lines.findIndex((line) => Math.abs(x - line) < 3);
  return (x, y) => {
    const [low, high] = [Math.min(x, y), Math.max(x, y)];
    if (low === 6 || high === 6 || high < 9 || (low < 9 && high >= side - 8)) return true;
    const [i, j] = [near(x), near(y)];
    const aligns = i >= 0 && j >= 0 && !isCorner(i, j, lines.length - 1);
    return aligns || (low < 6 && high >= side - 11);
  };
}

// Reed–Solomon codes: arithmetic of 256 elements
const POWER = new Uint8Array(510);
const LOG = new Uint8Array(256);
for (let i = 0, x = 1; i < 255; i++, x = (x << 1) ^ (x > 127 ? 0x11d : 0)) {
  POWER[i] = POWER[i + 255] = x;
  LOG[x] = i;
}
const times = (a, b) => (a && b ? POWER[LOG[a] + LOG[b]] : 0);
const over = (a, b) => (a ? POWER[LOG[a] + 255 - LOG[b]] : 0);
const valueAt = (terms, x) => terms.reduceRight((sum, term) => times(sum, x) ^ term, 0);

/** Put wrong bytes of a block right, in place; false where there are too many. */
export function corrected(block, count) {
  const word = [...block].reverse();
  const syndromes = Array.from({ length: count }, (_, i) => valueAt(word, POWER[i]));
  if (syndromes.every((one) => !one)) return true;
  const sum = (terms, n) => terms.reduce((s, term, i) => s ^ times(term, syndromes[n - i] ?? 0), 0);
  // Berlekamp and Massey: the shortest recurrence of the syndromes.
  let [found, before, errors, gap, last] = [[1], [1], 0, 1, 1];
  for (let n = 0; n < count; n++, gap++) {
    const miss = sum(found, n);
    if (!miss) continue;
    const old = found;
    const added = [...Array(gap).fill(0), ...before.map((term) => times(over(miss, last), term))];
    found = Array.from({ length: Math.max(old.length, added.length) }, (_, i) => old[i] ^ added[i]);
    if (2 * errors <= n) [errors, before, last, gap] = [n + 1 - errors, old, miss, 0];
  }
  const places = [...word.keys()].filter((i) => !valueAt(found, POWER[255 - i]));
  if (2 * errors > count || places.length !== errors) return false;
  // Forney: how wrong each of them is.
  const size = syndromes.map((_, n) => sum(found, n));
  const slope = found.map((term, i) => (i % 2 ? term : 0)).slice(1);
  for (const i of places) {
    const [high, low] = [size, slope].map((terms) => valueAt(terms, POWER[255 - i]));
    block[block.length - 1 - i] ^= times(POWER[i], over(high, low));
  }
  return true;
}

/** The bytes of a code, or null. Its mask is the one under which all blocks can be put right. */
export function bytesIn(version, dark) {
  const [side, fixed, places] = [4 * version + 17, fixedIn(version), []];
  for (let right = side - 1, up = true; right > 0; right -= 2, up = !up) {
    if (right === 6) right = 5;
    for (let i = 0; i < side; i++) {
      const y = up ? side - 1 - i : i;
      for (const x of [right, right - 1]) if (!fixed(x, y)) places.push([x, y, dark(x, y)]);
    }
  }
  for (let mask = 0; mask < 8; mask++) {
    const all = new Uint8Array(places.length >> 3);
    places.forEach(([x, y, bit], i) => (all[i >> 3] = 2 * all[i >> 3] + (bit ^ masked(mask, x, y))));
    const data = withoutErrors(all, entry(CORRECTION, version), entry(BLOCKS, version));
    const read = bitReader(data ?? [0]);
    if (read(4) === 4) return Uint8Array.from({ length: read(16) }, () => read(8));
  }
  return null;
}

/** The data of all blocks, whose bytes take turns; null where one cannot be put right. */
function withoutErrors(all, count, blocks) {
  const short = Math.floor(all.length / blocks) - count; // bytes of data; the last have one more
  const long = blocks - (all.length % blocks);
  const data = [];
  for (let b = 0; b < blocks; b++) {
    const at = (i) => all[i * blocks + b - (i < short ? 0 : long)];
    const block = Array.from({ length: short + (b >= long) }, (_, i) => at(i));
    const size = block.length;
    for (let i = count; i; i--) block.push(all[all.length - i * blocks + b]);
    if (!corrected(block, count)) return null;
    data.push(...block.slice(0, size));
  }
  return data;
}

const ZERO = { x: 0, y: 0 };
const distance = (a, b) => Math.hypot(a.x - b.x, a.y - b.y);
/** A place, moved by a share of the way from one to another. */
const moved = ({ x, y }, share, from, to) => ({
  x: x + share * (to.x - from.x),
  y: y + share * (to.y - from.y),
});

/** Brightness at any place less that of its surroundings, which uneven light does not change. */
function contrast({ data, width, height }) {
  const [wide, reach] = [width + 1, Math.max(8, Math.round(Math.min(width, height) / 14))];
  const grey = (i) => data[4 * i] + data[4 * i + 1];
  const sums = new Float64Array(wide * (height + 1)); // of all above and to the left
  for (let i = 0, row = 0; i < width * height; i++) {
    const at = i + Math.floor(i / width) + wide + 1;
    row = i % width ? row + grey(i) : grey(i);
    sums[at] = sums[at - wide] + row;
  }
  const inside = (x, end) => Math.max(0, Math.min(end, x));
  return (x, y) => {
    const [i, j] = [inside(Math.round(x), width - 1), inside(Math.round(y), height - 1)];
    const [l, r] = [inside(i - reach, width), inside(i + reach, width)];
    const [t, b] = [inside(j - reach, height), inside(j + reach, height)];
    const strip = (row) => sums[row * wide + r] - sums[row * wide + l];
    return grey(j * width + i) - (strip(b) - strip(t)) / ((r - l) * (b - t));
  };
}

/** Where, along a line, dark and light are 1 : 1 : 3 : 1 : 1 wide: middle and width of a module. */
function finderRuns(sample, length) {
  const [found, edges] = [[], []];
  for (let i = 0; i <= length; i++) {
    // Grey is not dark, or noise on plain paper would be full of patterns.
    const dark = i < length && sample(i) < -20;
    if (dark !== edges.length % 2 > 0) edges.push(i);
  }
  for (let k = 0; k + 5 < edges.length; k += 2) {
    const unit = (edges[k + 5] - edges[k]) / 7;
    const odd = [1, 1, 3, 1, 1].map((size, i) => edges[k + i + 1] - edges[k + i] - size * unit);
    if (odd.every((one) => Math.abs(one) < 0.4 * unit + 0.8)) {
      found.push({ at: (edges[k + 2] + edges[k + 3] - 1) / 2, unit });
    }
  }
  return found;
}

/** What may be the large corners, those seen on most lines first. */
function finders(sample, width, height) {
  const [found, columns] = [[], []];
  for (let y = 0; y < height; y++) {
    for (const { at, unit } of finderRuns((x) => sample(x, y), width)) {
      const x = Math.round(at);
      columns[x] ??= finderRuns((down) => sample(x, down), height);
      const cross = columns[x].find((one) => Math.abs(one.at - y) < 2 * unit);
      if (!cross || Math.abs(Math.log(cross.unit / unit)) > 0.4) continue;
      const here = { x: at, y: cross.at, unit: (unit + cross.unit) / 2, seen: 0 };
      let known = found.find((one) => distance(one, here) < 2 * unit);
      if (!known) found.push((known = here));
      known.seen++;
      for (const key of ["x", "y", "unit"]) known[key] += (here[key] - known[key]) / known.seen;
    }
  }
  return found.sort((a, b) => b.seen - a.seen).slice(0, 9);
}

/** Threes of them (upper left, upper right, lower left), the most like a square's first. */
function corners(found) {
  const oddness = ([a, b, c]) => {
    const [ab, ac] = [distance(a, b), distance(a, c)];
    const turn = ((b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x)) / (ab * ac);
    const seen = Math.log(a.seen * b.seen * c.seen);
    return turn > 0.7 ? Math.abs(Math.log(ab / ac)) - turn - 0.05 * seen : 9;
  };
  const threes = found.flatMap((a) => found.flatMap((b) => found.map((c) => [a, b, c])));
  const sorted = threes.map((three) => ({ three, odd: oddness(three) })).sort((a, b) => a.odd - b.odd);
  return sorted.filter(({ odd }) => odd < 9).slice(0, 4);
}

/** Where in these corners the lines of alternating modules begin and end. */
function endsOf([a, b, c]) {
  // Three modules; a line across a turned pattern is longer than its side.
  const turned = Math.max(Math.abs(b.x - a.x), Math.abs(b.y - a.y)) / distance(a, b);
  const step = (a.unit + b.unit + c.unit) * turned;
  const [right, down] = [step / distance(a, b), step / distance(a, c)];
  return [
    moved(moved(a, right, a, b), down, a, c),
    moved(moved(b, right, b, a), down, a, c),
    moved(moved(c, right, a, b), down, c, a),
  ];
}

/** Versions that a code may have, by the modules that alternate. */
function versionsOf(ends, sample) {
  const counted = [1, 2].map((k) => {
    let changes = 0;
    for (let i = 0; i < 2000; i++) {
      const { x, y } = moved(ends[0], i / 2000, ends[0], ends[k]);
      if (sample(x, y) > 0 !== changes % 2 > 0) changes++;
    }
    return Math.round(changes / 4) - 1;
  });
  const near = [0, -1, 1].flatMap((more) => counted.map((one) => one + more));
  return [...new Set(near)].filter((one) => one > 9 && one < 41);
}

/** A function that gives each module, 1 where dark: a net of alignment patterns, filled evenly. */
function modules(version, ends, sample) {
  const [lines, net] = [alignments(version), []];
  const end = lines.length - 1;
  const steps = [1, 2].map((k) => moved(ZERO, 1 / (4 * version + 4), ends[0], ends[k]));
  const share = (i) => (lines[i] - lines[i - 1]) / (lines[end] - lines[i - 1]);
  for (let j = 0; j <= end; j++) {
    net.push([]);
    for (let i = 0; i <= end; i++) {
      const [left, above] = [net[j][i - 1], net[j - 1]?.[i]];
      let guess;
      if (left && above) guess = moved(above, 1, net[j - 1][i - 1], left);
      else if (left) guess = moved(left, share(i), left, ends[1]);
      else guess = above ? moved(above, share(j), above, ends[2]) : ends[0];
      net[j].push(isCorner(i, j, end) ? guess : aligned(guess, steps, sample));
    }
  }
  const cell = (x) => Math.max(1, lines.findIndex((line, i) => line >= x || i === end));
  return (x, y) => {
    const [i, j] = [cell(x), cell(y)];
    const part = (at, k) => (at - lines[k - 1]) / (lines[k] - lines[k - 1]);
    const across = (row) => moved(row[i - 1], part(x, i), row[i - 1], row[i]);
    const [upper, lower] = [net[j - 1], net[j]].map(across);
    const place = moved(upper, part(y, j), upper, lower);
    return Number(sample(place.x, place.y) < 0);
  };
}

const RING = [..."ddddddlllddldlddllldddddd"].map((module) => (module === "l" ? 1 : -1));

/** The place near a guess that looks most like a dark ring around a dark module. */
function aligned(guess, [right, down], sample) {
  const at = (u, v) => moved(moved(guess, u, ZERO, right), v, ZERO, down);
  let [best, most] = [guess, 12];
  for (let v = -4; v <= 4; v += 0.25) {
    for (let u = -4; u <= 4; u += 0.25) {
      let sum = -0.5 * Math.hypot(u, v);
      for (let k = 0; k < 25; k++) {
        const { x, y } = at(u + (k % 5) - 2, v + Math.floor(k / 5) - 2);
        sum += Math.sign(sample(x, y)) * RING[k];
      }
      if (sum > most) [best, most] = [at(u, v), sum];
    }
  }
  return best;
}

/** The bytes of the QR code in a picture as a canvas gives it; null where none can be read. */
export function readCode(picture) {
  const sample = contrast(picture);
  for (const { three } of corners(finders(sample, picture.width, picture.height))) {
    const ends = endsOf(three);
    for (const version of versionsOf(ends, sample)) {
      const bytes = bytesIn(version, modules(version, ends, sample));
      if (bytes) return bytes;
    }
  }
  return null;
}
