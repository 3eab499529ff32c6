// Outputs are numbers; see tfeff/tasks/regression.py.

import { short } from './numbers.js';

const names = (spec, count) => (spec.labels?.length ? spec.labels : Array.from({ length: count }, (_, i) => String(i)));

export const regression = {
  name: 'regression',

  /** The values, a plain array. */
  decode: (outputs, spec) => Array.from(outputs[spec.outputs[0]].data, Number),

  lines(values, spec) {
    const named = values.length === 1 && !spec.labels?.length ? [''] : names(spec, values.length);
    return values.map((value, i) => [`${named[i]} ${short(value)}`.trim(), null]);
  },

  answer: (values, spec) => (values.length === 1 ? regression.lines(values, spec)[0][0] : null),

  table(predictions, spec) {
    const named = names(spec, predictions[0].length);
    const rows = predictions[0].map((_, i) => ({ name: named[i], values: predictions.map((values) => values[i]) }));
    return { caption: 'Numbers', head: 'value', percent: false, rows };
  },
};
