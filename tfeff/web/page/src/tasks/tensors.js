// Outputs that nobody described are shown as numbers; see tfeff/tasks/tensors.py.

import { short } from './numbers.js';

const SHOWN = 8; // values of each output

export const tensors = {
  name: 'tensors',

  /** { port: { shape, data } } of the task's outputs. */
  decode: (outputs, spec) => Object.fromEntries(spec.outputs.map((port) => [port, outputs[port]])),

  lines(prediction, spec) {
    return spec.outputs.map((port) => {
      const { shape, data } = prediction[port];
      const shown = Array.from(data.slice(0, SHOWN), (value) => short(Number(value))).join(', ');
      return [`${port} [${shape.join(', ')}]: ${shown}${data.length > SHOWN ? ', ...' : ''}`, null];
    });
  },

  answer: () => null,

  table(predictions, spec) {
    const rows = spec.outputs.flatMap((port) => {
      const { shape, data } = predictions[0][port];
      const count = Math.min(SHOWN, data.length);
      const rest = data.length > SHOWN ? `, the first ${SHOWN}` : '';
      const head = { name: `${port} [${shape.join(', ')}]${rest}`, values: null };
      return [head, ...Array.from({ length: count }, (_, i) => (
        { name: String(i), values: predictions.map((one) => Number(one[port].data[i])) }))];
    });
    return { caption: 'Outputs as numbers', head: 'value', percent: false, rows };
  },
};
