// Tasks: what a model's outputs mean, as tfeff/tasks says it. A task is one file here, named in the list below.
//
// A task is an object of
//   name                        as in the record's `tasks`
//   decode(outputs, spec)       from { port: { shape, data } } (without the batch) to a prediction
//   lines(prediction, spec)     what it says, the best first: [[text, score in 0..1 or null], ...]; Python's `draw`
//   answer(prediction, spec)    the same in a few words; null where only the table tells
//   table(predictions, spec)    the predictions of one or two files side by side:
//                               { caption, head, percent, rows: [{ name, values: [a number a file] }] }; values are
//                               null in a row that begins a group
//   frames(prediction, spec)    of a task with places alone: [{ box, name, score, colour }], boxes x1 y1 x2 y2 in pixels of
//                               the network's input
// `lines`, `answer`, `table` and `frames` of a task with places take one more: the score from which on a part is shown.

import { classification } from './classification.js';
import { detection } from './detection.js';
import { regression } from './regression.js';
import { tensors } from './tensors.js';

const tasks = [classification, detection, regression, tensors];

/** The task of a name; one that this page does not know shows its outputs as numbers. */
export const taskOf = (name) => tasks.find((task) => task.name === name) ?? tensors;
