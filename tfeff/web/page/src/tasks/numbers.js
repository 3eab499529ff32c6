const DIGITS = 4;

/** A number in four digits, as C's and Python's `%.4g` write it. */
export function short(value) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'nan' : value < 0 ? '-inf' : 'inf';
  if (value === 0) return Object.is(value, -0) ? '-0' : '0';
  const [digits, power] = toEven(value).split('e');
  const exponent = Number(power);
  const bare = (text) => (text.includes('.') ? text.replace(/\.?0+$/, '') : text);
  if (exponent < -4 || exponent >= DIGITS) {
    return `${bare(digits)}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
  }
  return bare(Number(`${digits}e${power}`).toFixed(DIGITS - 1 - exponent));
}

/** Rounded to four digits, exact halves to the even neighbour, in scientific notation. JavaScript takes them away from 0. */
function toEven(value) {
  const rounded = value.toExponential(DIGITS - 1);
  const [digits, power] = Math.abs(value).toExponential(60).split('e');
  const half = /^[5]0*$/.test(digits.slice(DIGITS + 1));
  if (!half || Number(digits[DIGITS]) % 2) return rounded;
  return `${value < 0 ? '-' : ''}${digits.slice(0, DIGITS + 1)}e${power}`;
}
