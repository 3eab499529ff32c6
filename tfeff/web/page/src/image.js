// Image files and camera frames as RGB; what Python refuses (tfeff/data/images.py) is refused here as well.

const MAX_PIXELS = 64e6;

/** A blob -> { data, width, height }, RGB, upright; throws an Error that says what is wrong with it. */
export async function decode(blob) {
  const head = new Uint8Array(await blob.slice(0, 33).arrayBuffer());
  const png = [0x89, 0x50, 0x4e, 0x47].every((byte, i) => head[i] === byte);
  if (png && head[24] === 16) throw new Error('16 bits a channel: convert it to an 8-bit image');
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, { premultiplyAlpha: 'none', colorSpaceConversion: 'none' });
  } catch {
    throw new Error('not an image that this browser can read');
  }
  try {
    return grab(bitmap, bitmap.width, bitmap.height);
  } finally {
    bitmap.close();
  }
}

/** What is drawn by a bitmap or a video frame. */
export function grab(source, width, height) {
  if (width * height > MAX_PIXELS) throw new Error(`${width} by ${height} pixels are too many`);
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(source, 0, 0);
  const rgba = context.getImageData(0, 0, width, height).data;
  const data = new Uint8ClampedArray(width * height * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3) {
    if (rgba[from + 3] !== 255) throw new Error('has transparent pixels: flatten it onto a background');
    data[to] = rgba[from];
    data[to + 1] = rgba[from + 1];
    data[to + 2] = rgba[from + 2];
  }
  return { data, width, height };
}
