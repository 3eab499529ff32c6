// From an image to a network's input, as tfeff/data/preprocessing.py does it, bit for bit.

const BITS = 22; // of the weights' fraction: 32 less 8 of a pixel and 2 to spare
const FILL = 114; // around an image that is fitted in, where the record does not say
const CHANNELS = { rgb: 3, bgr: 3, gray: 1 };

/** Weights of the bilinear (triangle) filter for one axis, widened when it shrinks, in fixed point. */
function weightsFor(from, to) {
  const scale = from / to;
  const widened = Math.max(scale, 1);
  const rows = [];
  for (let i = 0; i < to; i++) {
    const centre = (i + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - widened + 0.5), 0);
    const last = Math.min(Math.trunc(centre + widened + 0.5), from);
    const values = [];
    let sum = 0;
    for (let x = first; x < last; x++) {
      const value = Math.max(1 - Math.abs((x - centre + 0.5) * (1 / widened)), 0);
      values.push(value);
      sum += value;
    }
    rows.push({ first, fixed: Int32Array.from(values, (v) => Math.trunc(0.5 + (sum ? v / sum : v) * 2 ** BITS)) });
  }
  return rows;
}

/**
 * Pillow's bilinear resize of RGB (h, w, 3): one axis, then the other, each rounded to 8 bits.
 * @param tallFirst as Pillow 13 has it: columns go first where the height loses more than twice what the width does;
 *   before, rows always did. The roundings differ by 1 here and there.
 */
export function resize(image, toWidth, toHeight, tallFirst) {
  const lost = image.height - toHeight;
  if (tallFirst && lost > 0 && lost > 2 * (image.width - toWidth)) {
    return resizeRows(resizeColumns(image, toHeight), toWidth);
  }
  return resizeColumns(resizeRows(image, toWidth), toHeight);
}

function resizeRows({ data, width, height }, to) {
  if (to === width) return { data, width, height };
  const next = new Uint8ClampedArray(to * height * 3);
  const half = 1 << (BITS - 1);
  const columns = weightsFor(width, to);
  for (let y = 0, at = 0; y < height; y++) {
    for (const { first, fixed } of columns) {
      let r = half, g = half, b = half;
      for (let k = 0, from = (y * width + first) * 3; k < fixed.length; k++, from += 3) {
        r += data[from] * fixed[k];
        g += data[from + 1] * fixed[k];
        b += data[from + 2] * fixed[k];
      }
      next[at++] = r >> BITS; // a clamped array: what rounding carried over 255 stays there
      next[at++] = g >> BITS;
      next[at++] = b >> BITS;
    }
  }
  return { data: next, width: to, height };
}

function resizeColumns({ data, width, height }, to) {
  if (to === height) return { data, width, height };
  const bytes = width * 3;
  const next = new Uint8ClampedArray(bytes * to);
  const sums = new Int32Array(bytes);
  weightsFor(height, to).forEach(({ first, fixed }, i) => {
    sums.fill(1 << (BITS - 1));
    for (let k = 0; k < fixed.length; k++) {
      const at = (first + k) * bytes;
      for (let x = 0; x < bytes; x++) sums[x] += data[at + x] * fixed[k];
    }
    for (let x = 0; x < bytes; x++) next[i * bytes + x] = sums[x] >> BITS;
  });
  return { data: next, width, height: to };
}

/** What an image is resized to, and where its corner then lies in the input: below 0 where it is cut off. */
function placed(image, how) {
  let { width, height } = how.resize;
  if (how.resize.mode === 'cover') {
    const scale = Math.max(height / image.height, width / image.width);
    height = Math.max(height, Math.trunc(image.height * scale + 0.5));
    width = Math.max(width, Math.trunc(image.width * scale + 0.5));
  } else if (how.resize.mode === 'fit') {
    const scale = Math.min(height / image.height, width / image.width);
    height = Math.max(1, Math.min(height, Math.trunc(image.height * scale + 0.5)));
    width = Math.max(1, Math.min(width, Math.trunc(image.width * scale + 0.5)));
  }
  const half = (free) => Math.sign(free) * Math.floor(Math.abs(free) / 2);
  return { width, height, top: half(how.crop.height - height), left: half(how.crop.width - width) };
}

/** From a box x1 y1 x2 y2 in pixels of the input to one in pixels of the image, cut off at its border. */
export function boxBack(box, image, how) {
  const { width, height, top, left } = placed(image, how);
  const back = (value, offset, scale, most) => Math.min(Math.max((value - offset) / scale, 0), most);
  return box.map((value, i) => (i % 2
    ? back(value, top, height / image.height, image.height) : back(value, left, width / image.width, image.width)));
}

/** Steps 1 to 3: an RGB image -> { data, width, height, channels } of 8-bit values, as the network's input is laid out. */
export function pixels(image, how, tallFirst) {
  const { width, height, top, left } = placed(image, how);
  const resized = resize(image, width, height, tallFirst);
  const { width: w, height: h } = how.crop;
  const channels = CHANNELS[how.colour];
  const data = new Uint8ClampedArray(w * h * channels).fill(how.resize.fill ?? FILL);
  const [firstRow, lastRow] = [Math.max(0, top), Math.min(h, top + height)];
  const [firstColumn, lastColumn] = [Math.max(0, left), Math.min(w, left + width)];
  for (let y = firstRow; y < lastRow; y++) {
    let from = ((y - top) * width + firstColumn - left) * 3;
    let to = (y * w + firstColumn) * channels;
    for (let x = firstColumn; x < lastColumn; x++, from += 3, to += channels) {
      const r = resized.data[from], g = resized.data[from + 1], b = resized.data[from + 2];
      if (channels === 1) data[to] = (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16; // ITU-R 601
      else [data[to], data[to + 1], data[to + 2]] = how.colour === 'bgr' ? [b, g, r] : [r, g, b];
    }
  }
  return { data, width: w, height: h, channels };
}

/** Step 4: 8-bit values -> Float32Array of (pixel - mean) / std, each operation rounded to float32. */
export function normalize({ data, channels }, how) {
  const f = Math.fround;
  const tables = how.mean.map((mean, c) =>
    Float32Array.from({ length: 256 }, (_, v) => f(f(v - f(mean)) / f(how.std[c]))));
  const values = new Float32Array(data.length);
  for (let i = 0; i < data.length; i++) values[i] = tables[i % channels][data[i]];
  return values;
}
