// What the page's tasks make of decode_vectors.json: `node decode_vectors.mjs FILE` prints [{ decoded, lines }, ...].
import { readFile } from 'node:fs/promises';
import { taskOf } from '../../tfeff/web/page/src/tasks/index.js';

const read = ({ shape, dtype, values }) => ({
  shape, data: dtype === 'float32' ? Float32Array.from(values) : dtype === 'int32' ? Int32Array.from(values) : values,
});
const vectors = JSON.parse(await readFile(process.argv[2], 'utf8'));
console.log(JSON.stringify(vectors.map(({ task: spec, outputs }) => {
  const task = taskOf(spec.name);
  const given = Object.fromEntries(Object.entries(outputs).map(([name, output]) => [name, read(output)]));
  const prediction = task.decode(given, spec);
  const [answer, other] = [task.answer(prediction, spec), task.table([prediction, prediction], spec)];
  return { decoded: plain(prediction), lines: task.lines(prediction, spec), answer, rows: other.rows };
})));

/** Typed arrays as plain ones; of an output its values alone. */
function plain(prediction) {
  if (Array.isArray(prediction) || ArrayBuffer.isView(prediction)) return Array.from(prediction);
  if (prediction.data) return plain(prediction.data);
  return Object.fromEntries(Object.entries(prediction).map(([name, part]) => [name, plain(part)]));
}
