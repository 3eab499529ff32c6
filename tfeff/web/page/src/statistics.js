/** The `share` quantile of some numbers, between neighbours in proportion, as NumPy's default. */
export function quantile(values, share) {
  const sorted = Float64Array.from(values).sort();
  const at = (sorted.length - 1) * share;
  const low = Math.floor(at);
  return sorted[low] + (at - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
}

export const median = (values) => quantile(values, 0.5);

/** Numbers of an array as shares of 1, by their exponentials. */
export function softmax(logits) {
  const top = logits.reduce((a, b) => Math.max(a, b));
  const raised = logits.map((value) => Math.exp(value - top));
  const sum = raised.reduce((a, b) => a + b, 0);
  return raised.map((value) => value / sum);
}

/** Places of the `count` largest numbers, largest first; of equal ones the first, as NumPy's argmax. */
export function largest(values, count) {
  return Array.from(values.keys()).sort((a, b) => values[b] - values[a] || a - b).slice(0, count);
}
