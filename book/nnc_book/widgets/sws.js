// A decoder of .sws files, written from the book's page "File format".

const TYPES =
  "float32 float16 float64 bfloat16 int64 int32 int16 int8 uint8 bool".split(" ");
const SIZES = [4, 2, 8, 2, 8, 4, 2, 1, 1, 1];
const TIED = 4; // a form
const WORDS = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"];
const PIECE = 2 ** 21; // weights
const MOST_WEIGHTS = 20_000_000; // of a file

function refuse(why) {
  throw new Error(`not a readable .sws file: ${why}`);
}

class Bytes {
  constructor(data) {
    this.data = data;
    this.at = 0;
  }
  take(count) {
    if (this.at + count > this.data.length) refuse("it ends too early");
    return this.data.subarray(this.at, (this.at += count));
  }
  byte() {
    return this.take(1)[0];
  }
  word() {
    return new DataView(this.take(4).slice().buffer).getUint32(0, true);
  }
  varint() {
    let value = 0;
    for (let scale = 1, byte = 128; byte >= 128; scale *= 128) {
      byte = this.byte();
      value += (byte % 128) * scale;
      if (value > Number.MAX_SAFE_INTEGER || (scale > 1 && !byte)) refuse("a number is malformed");
    }
    return value;
  }
}

export function crc32(data) {
  let crc = -1;
  for (const byte of data) {
    crc ^= byte;
    for (let k = 0; k < 8; k++) crc = (crc >>> 1) ^ (0xedb88320 & -(crc & 1));
  }
  return ~crc >>> 0;
}

function half(word) {
  const [sign, exponent, part] = [word >> 15 ? -1 : 1, (word >> 10) & 31, word & 1023];
  if (exponent === 31) return part ? NaN : sign * Infinity;
  return exponent ? sign * 2 ** (exponent - 15) * (1 + part / 1024) : (sign * part) / 2 ** 24;
}

function numbers(data, type) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const get = {
    float16: (at) => half(view.getUint16(at, true)),
    bfloat16: (at) => new Float32Array(new Uint32Array([view.getUint16(at, true) << 16]).buffer)[0],
    int64: (at) => Number(view.getBigInt64(at, true)),
    bool: (at) => view.getUint8(at),
  }[type] ?? ((at) => view[`get${type[0].toUpperCase()}${type.slice(1)}`](at, true));
  const size = SIZES[TYPES.indexOf(type)];
  return Float64Array.from({ length: data.length / size }, (_, i) => get(i * size));
}

// Coders: each gives the levels of a matrix, along its rows

const SPARE = "a matrix has bytes to spare";

/** Numbers of so many bits. */
function bitReader(data) {
  let at = 0;
  return (width) => {
    let value = 0;
    for (; width--; at++) value = 2 * value + ((data[at >> 3] >> (7 - (at & 7))) & 1);
    return value;
  };
}

function raw(data, { count, low, high }) {
  const width = Math.ceil(Math.log2(high - low + 1));
  const next = bitReader(data);
  if (data.length !== Math.ceil((count * width) / 8)) refuse(SPARE);
  const levels = Int32Array.from({ length: count }, () => next(width) + low);
  if (next(-count * width & 7)) refuse(SPARE);
  return levels;
}

function sparseRows(data, { rows, columns, count, low, high }) {
  const read = new Bytes(data);
  const whole = (length, most) => {
    const size = [1, 2, 4, 8].find((bytes) => most < 256 ** bytes);
    const bytes = read.take(length * size);
    return Array.from({ length }, (_, i) =>
      bytes.subarray(i * size, (i + 1) * size).reduceRight((sum, byte) => 256 * sum + byte, 0),
    );
  };
  const pointers = whole(rows + 1, count);
  if (pointers[rows] > count) refuse("more non-zeros than weights");
  const [where, what] = [columns - 1, high - low].map((most) => whole(pointers[rows], most));
  if (pointers[0] || read.at !== data.length) refuse(SPARE);
  const levels = new Int32Array(count);
  for (let row = 0; row < rows; row++) {
    if (pointers[row] > pointers[row + 1]) refuse("pointers of rows fall");
    for (let i = pointers[row], last = -1; i < pointers[row + 1]; last = where[i++]) {
      if (where[i] <= last || where[i] >= columns || what[i] + low === 0) refuse("no such column or level");
      levels[row * columns + where[i]] = what[i] + low;
    }
  }
  return levels;
}

// The context coder

function log2(x) {
  let v = Math.floor(Math.log2(x));
  x *= 2 ** (15 - v);
  for (let i = 0; i < 8; i++) {
    x = Math.floor((x * x) / 2 ** 15);
    v *= 2;
    if (x >= 2 ** 16) [v, x] = [v + 1, Math.floor(x / 2)];
  }
  return v;
}

function halfOctave(n) {
  const e = Math.floor(Math.log2(n + 1));
  return 2 * e + (e > 0 ? ((n + 1) >> (e - 1)) & 1 : 0);
}

let tables = null;
function makeTables() {
  const odds = Array.from({ length: 4095 }, (_, s) => log2(s + 1) - log2(4095 - s));
  odds.sort((a, b) => a - b);
  const share = new Uint32Array(6145);
  for (let t = 0, k = 0; t < 6145; t++) {
    while (k < odds.length && odds[k] <= t - 3072) k++;
    share[t] = 8 + 16 * k;
  }
  const logs = Int32Array.from({ length: 4002 }, (_, n) => log2(5 * n + 2));
  return { logs, share, steps: Int32Array.from({ length: 4096 }, (_, n) => halfOctave(n)) };
}

const SLOTS = 16384;
const clamp = (value, most) => Math.max(-most, Math.min(most, value));

/** The arithmetic decoder with its mixed model: ``decide`` gives a bit. */
function modelOf(data) {
  const { logs, share } = tables;
  const counts = new Uint16Array(12 * SLOTS * 2);
  const weights = new Int32Array(65 * 7).fill(12000);
  const rates = new Int32Array(65).fill(1280);
  const odds = new Float64Array(7);
  let [range, code, at] = [2 ** 32 - 1, 0, 0];
  const byte = () => data[at++] ?? 0;
  for (let i = 0; i < 4; i++) code = code * 256 + byte();

  function bit(p) {
    const bound = Math.floor((range * p) / 65536);
    const one = code < bound;
    if (one) range = bound;
    else [range, code] = [range - bound, code - bound];
    while (range < 2 ** 24) [range, code] = [range * 256, ((code * 256) % 2 ** 32) + byte()];
    return one ? 1 : 0;
  }

  /** Whether the code ends as a writer ends it. */
  const ended = () => {
    let last = 0;
    for (let i = at - 4; i < at; i++) last = last * 256 + (data[i] ?? 0);
    const far = (bits) => (2 ** 32 + code - last) % 2 ** bits;
    return data.length <= at && code === far([32, 24, 16, 8, 0].find((bits) => far(bits) < range));
  };

  function decide(kind, first, slots, used) {
    let sum = 0;
    for (let i = 0; i < used; i++) {
      const slot = 2 * ((first + i) * SLOTS + slots[i]);
      odds[i] = logs[counts[slot + 1]] - logs[counts[slot]];
      sum += odds[i] * weights[7 * kind + i];
    }
    const p = share[clamp(Math.floor(sum / 65536), 3072) + 3072];
    const found = bit(p);
    const error = (65536 * found - p) * (rates[kind] >> 4);
    rates[kind] = Math.max(128, rates[kind] - 1);
    for (let i = 0; i < used; i++) {
      const grown = weights[7 * kind + i] + Math.floor((odds[i] * error) / 2 ** 20);
      weights[7 * kind + i] = clamp(grown, 2 ** 20);
      const slot = 2 * ((first + i) * SLOTS + slots[i]);
      counts[slot + found]++;
      if (counts[slot] + counts[slot + 1] > 4000) {
        counts[slot] = (counts[slot] + 1) >> 1;
        counts[slot + 1] = (counts[slot + 1] + 1) >> 1;
      }
    }
    return found;
  }
  return { decide, ended };
}

const g = (x) => (x === 0 ? 0 : x < 0 ? 1 : 2);

function context(data, matrix, hints) {
  tables ??= makeTables();
  const { steps } = tables;
  const least = matrix.count / 65536 - 3;
  if (!(data[0] & 63) || data.length < least) refuse("too few bytes, or no scan");
  const [transposed, full, width] = [data[0] >= 128, (data[0] & 64) > 0, data[0] % 64];
  const { low, high, count } = matrix;
  const rows = transposed ? matrix.columns : matrix.rows;
  const columns = transposed ? matrix.rows : matrix.columns;
  const { decide, ended } = modelOf(data.subarray(1));
  const used = (number) => (full ? number : 1);
  const top = Math.max(high, -low);
  const bits = Math.ceil(Math.log2(top));
  const u = width > 1 ? width : 2;
  let [above, here] = [new Int32Array(columns), new Int32Array(columns)];
  const [ones, recent, sign] = [0, 0, 0].map(() => new Int32Array(columns));
  const at = (line, place) => line[place] ?? 0;
  const levels = new Int32Array(count);
  const slots = new Int32Array(7);
  const few = (n) => steps[Math.min(n, 4095)];
  for (let r = 0; r < rows; r++) {
    let [rowRecent, rowSign, gap] = [0, 0, 0];
    here.fill(0);
    for (let j = 0; j < columns; j++) {
      const [a, b, d] = [at(here, j - 1), at(here, j - u), above[j]];
      const [C, R] = [steps[recent[j] >> 2], steps[rowRecent >> 2]];
      let near = !!a + 2 * !!at(here, j - 2) + 4 * !!d;
      near += 8 * !!at(above, j + 1) + 16 * !!at(above, j - 1);
      let m = at(ones, j - 1) + at(ones, j + 1);
      if (width > 1) {
        near += 32 * !!b + 64 * !!at(here, j - width + 1) + 128 * !!at(here, j - width - 1);
        m += at(ones, j - width) + at(ones, j + width);
      } else m *= 2;
      slots[0] = 32 * C + R;
      slots[1] = near;
      slots[2] = 16 * (a + 8) + b + 8;
      slots[3] = 32 * (hints ? few(hints[transposed ? r : j]) : 0) + few(ones[j]);
      slots[4] = 32 * Math.min(gap, 31) + few(m);
      slots[5] = r % SLOTS;
      slots[6] = j % SLOTS;
      let level = 0;
      if (decide(0, 0, slots, used(7))) {
        let negative = high === 0;
        if (low < 0 && high > 0) {
          slots[0] = 3 * g(a) + g(b);
          slots[1] = 3 * g(a) + g(d);
          slots[2] = rowSign;
          slots[3] = sign[j];
          slots[4] = 0;
          negative = decide(1, 7, slots, used(5)) === 1;
        }
        let node = 1;
        for (let k = 0; k < bits; k++) {
          const q = Math.min(node, 63);
          slots[0] = 256 * q + (negative ? 16 * (8 - a) + 8 - b : 16 * (8 + a) + 8 + b);
          slots[1] = 256 * q + 16 * Math.abs(a) + Math.abs(d);
          slots[2] = 256 * q + R;
          slots[3] = 256 * q + C;
          slots[4] = 2 * Math.min(node, 8191) + (negative ? 1 : 0);
          node = 2 * node + decide(1 + q, 7, slots, used(5));
        }
        level = (node - 2 ** bits + 1) * (negative ? -1 : 1);
        if (level < low || level > high) refuse("a level lies outside its codebook");
      }
      levels[transposed ? j * rows + r : r * columns + j] = level;
      let f = Math.abs(level);
      if (f && top > 7) f = 1 + Math.floor(((f - 1) * 7) / top);
      here[j] = level < 0 ? -f : f;
      recent[j] += (512 * f - recent[j]) >> 5;
      rowRecent += (512 * f - rowRecent) >> 5;
      gap += 1;
      if (level) {
        ones[j] += 1;
        sign[j] = rowSign = level < 0 ? 1 : 2;
        gap = 0;
      }
    }
    [above, here] = [here, above];
  }
  if (!ended() || (!data.at(-1) && data.length - 1 >= least)) refuse(SPARE);
  return levels;
}

const CODERS = { 1: raw, 2: sparseRows, 3: context };

// The file

function headsOf(read) {
  const heads = [];
  let [name, weights] = [new Uint8Array(), 0];
  for (let left = read.varint(); left > 0; left--) {
    const shared = read.varint();
    if (shared > name.length) refuse("a name shares more than there is");
    name = Uint8Array.from([...name.subarray(0, shared), ...read.take(read.varint())]);
    const head = headOf(read, textOf(name), heads);
    weights += head.form === TIED ? 0 : product(head.shape.map((size) => Math.max(size, 1)));
    if (weights > MOST_WEIGHTS) refuse(`more than ${MOST_WEIGHTS} weights`);
    heads.push(head);
  }
  return heads;
}

/** A name, in which bytes from 248 on stand for frequent words. */
function textOf(bytes) {
  const whole = new TextEncoder();
  const parts = Array.from(bytes, (byte) => (byte >= 248 ? [...whole.encode(WORDS[byte - 248] ?? "")] : byte));
  return new TextDecoder().decode(Uint8Array.from(parts.flat()));
}

const matrixOf = (shape, count) => (shape.length > 1 ? [shape[0], count / shape[0] || 0] : [1, count]);
const product = (shape) => shape.reduce((all, size) => all * size, 1);
const stepOf = (columns) => Math.max(1, Math.floor(PIECE / Math.max(1, columns)));

function headOf(read, name, heads) {
  const form = read.byte();
  if (form === TIED) {
    const owner = heads[read.varint()];
    if (!owner || owner.form === TIED) refuse("a tensor is tied to none");
    return { name, form, shape: owner.shape, owner: owner.name };
  }
  const hint = form & 32 ? read.varint() : 0;
  const kinds = read.byte();
  const [type, stored] = [TYPES[kinds >> 4], TYPES[kinds & 15]];
  if ((form ? !CODERS[form % 16] : 0) || form > 47 || !type || !stored) refuse("an unknown form");
  const dimensions = read.varint();
  if (dimensions > 64) refuse("more than 64 dimensions");
  const shape = Array.from({ length: dimensions }, () => read.varint());
  const [rows, columns] = matrixOf(shape, product(shape));
  const values = form ? read.varint() : 0;
  const pieces = values > 1 && rows * columns ? Math.ceil(rows / stepOf(columns)) : 0;
  if (pieces > read.data.length) refuse("more pieces than bytes");
  const lengths = Array.from({ length: pieces }, () => read.varint());
  const crc = read.word();
  return { name, form: form & 31, hint, type, stored, shape, values, lengths, crc };
}

/** Places of the values in ascending order, equal ones by their code; or as they are. */
function orderOf(book, sorted) {
  const order = Array.from(book, (_, code) => code);
  return sorted ? order.sort((a, b) => book[a] - book[b] || a - b) : order;
}

/**
 * Decode a file.
 *
 * @param {Uint8Array} bytes the whole file.
 * @returns {Map<string, {shape: number[], values: Float64Array}>} tensors in the file's order.
 * @throws {Error} the file is damaged, of another kind, or larger than a page should take.
 */
export function decode(bytes) {
  if (bytes.length < 9 || String.fromCharCode(...bytes.subarray(0, 4)) !== "SWS\x02")
    refuse("it does not begin as one");
  const read = new Bytes(bytes);
  read.at = 4;
  const listed = new Bytes(read.take(read.varint()));
  const sum = crc32(bytes.subarray(0, read.at));
  if (read.word() !== sum) refuse("its checksum is wrong");
  listed.take(listed.varint()); // what is said about the file does not affect decoding
  const found = new Map();
  const counts = [];
  headsOf(listed).forEach((head, place) => {
    const { name, shape } = head;
    if (found.has(name)) refuse("two tensors have one name");
    let values = found.get(head.owner)?.values;
    if (head.form !== TIED) [values, counts[place]] = tensor(read, head, counts[place - head.hint]);
    found.set(name, { shape, values });
  });
  if (listed.at !== listed.data.length || read.at !== bytes.length) refuse("something follows the last tensor");
  return found;
}

/** The numbers of one tensor, and the non-zeros of each of its rows. */
function tensor(read, { form, hint, type, stored, shape, values, lengths, crc }, before) {
  const [count, size, start] = [product(shape), SIZES[TYPES.indexOf(stored)], read.at];
  const scaled = type === "float32" && stored.startsWith("int");
  if (form && (values < 1 || values > 65536)) refuse("a codebook of no possible length");
  const plain = read.take(form ? 4 * scaled + values * size : count * size);
  const pieces = lengths.map((length) => read.take(length));
  if (crc32(read.data.subarray(start, read.at)) !== crc) refuse("a tensor's checksum is wrong");
  if (!form) return [numbers(plain, stored), null];
  const [scale] = scaled ? numbers(plain.subarray(0, 4), type) : [];
  let book = numbers(plain.subarray(4 * scaled), stored);
  if (scaled) book = book.map((step) => Math.fround(step * scale));
  if (book.length === 1 || !count) return [new Float64Array(count).fill(book[0]), null];
  const weights = form < 16;
  const order = orderOf(book, weights);
  const low = -order.indexOf(0) || 0;
  const high = low + book.length - 1;
  const [rows, columns] = matrixOf(shape, count);
  if (hint && (!before || columns % before.length)) refuse("hints that do not fit");
  const repeat = hint ? columns / before.length : 0;
  const hints = hint ? Array.from({ length: columns }, (_, j) => before[Math.floor(j / repeat)]) : null;
  const levels = new Int32Array(count);
  const step = stepOf(columns);
  pieces.forEach((data, number) => {
    const here = Math.min(step, rows - number * step);
    const one = { rows: here, columns, count: here * columns, low, high };
    levels.set(CODERS[form % 16](data, one, hints), number * step * columns);
  });
  if (levels.some((level) => level > high)) refuse("a level lies outside its codebook");
  const lit = (r) => levels.subarray(r * columns, (r + 1) * columns).filter(Boolean).length;
  const found = Float64Array.from(levels, (level) => book[order[level - low]]);
  return [found, weights && shape.length > 1 ? Array.from({ length: rows }, (_, r) => lit(r)) : null];
}
