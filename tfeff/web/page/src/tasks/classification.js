// Which class, whether (one value against a threshold), or which labels; see tfeff/tasks/classification.py.

import { largest, softmax } from '../statistics.js';

const DRAWN = 5;
// Records of schema 1 did not say it of users' models.
const areShares = (values) => values.every((value) => value >= 0) && Math.abs(values.reduce((a, b) => a + b) - 1) < 0.02;
const sigmoid = (value) => 1 / (1 + Math.exp(-value));

function names(spec, count) {
  if (spec.labels?.length) return spec.labels;
  return count === 1 ? ['no', 'yes'] : Array.from({ length: count }, (_, i) => `class ${i}`);
}

const first = ({ chosen }) => (chosen.length > 1 ? chosen.indexOf(true) : Number(chosen[0]));

export const classification = {
  name: 'classification',

  /** { chosen: the one class, or each label that holds; scores: probabilities }. */
  decode(outputs, spec) {
    const values = Array.from(outputs[spec.outputs[0]].data, Number);
    const { kind = 'classes', scores: said, threshold = 0.5 } = spec.decode ?? {};
    if (kind === 'classes') {
      const [top] = largest(values, 1);
      const shares = said ? said === 'probabilities' : areShares(values);
      return { chosen: values.map((_, i) => i === top), scores: shares ? values : softmax(values) };
    }
    const scores = said === 'probabilities' ? values : values.map(sigmoid);
    return { chosen: scores.map((score) => score > threshold), scores };
  },

  lines(prediction, spec) {
    const { scores } = prediction;
    const named = names(spec, scores.length);
    if (scores.length === 1) {
      const yes = first(prediction);
      return [[named[yes], yes ? scores[0] : 1 - scores[0]]];
    }
    return largest(scores, DRAWN).map((i) => [named[i], scores[i]]);
  },

  answer({ chosen, scores }, spec) {
    const named = names(spec, scores.length);
    if (spec.decode?.kind === 'multi-label') return named.filter((_, i) => chosen[i]).join(', ') || 'none of the labels';
    return named[first({ chosen })];
  },

  table(predictions, spec) {
    const all = predictions.map(({ scores }) => scores);
    const named = names(spec, all[0].length);
    const multi = spec.decode?.kind === 'multi-label';
    if (all[0].length === 1 && !multi) {
      const rows = [0, 1].map((yes) => ({ name: named[yes], values: all.map(([score]) => (yes ? score : 1 - score)) }));
      return { caption: 'Yes or no', head: 'answer', percent: true, rows };
    }
    const shown = [...new Set(all.flatMap((scores) => largest(scores, DRAWN)))];
    shown.sort((a, b) => all[0][b] - all[0][a] || a - b);
    const rows = shown.map((i) => ({ name: named[i], values: all.map((scores) => scores[i]) }));
    return { caption: `Scores of the likeliest ${multi ? 'labels' : 'classes'}`, head: multi ? 'label' : 'class', percent: true, rows };
  },
};
