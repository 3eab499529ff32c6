// What the page shows. Every name is set as text, never as HTML.

import { largest, softmax } from './statistics.js';

const TOP = 5;
const WORDS = { float32: 'float' };
const word = (file) => WORDS[file.precision] ?? file.precision;

function element(name, text, ...classes) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  made.classList.add(...classes);
  return made;
}

function head(table, names) {
  const row = element('tr');
  for (const name of names) {
    const cell = element('th', name);
    cell.scope = 'col';
    row.append(cell);
  }
  table.tHead.replaceChildren(row);
}

function rowOf(first, cells) {
  const row = element('tr');
  const name = element('th', first);
  name.scope = 'row';
  row.append(name, ...cells);
  return row;
}

const ms = (value) => value.toPrecision(value < 1000 ? 3 : 4);
const bytes = (count) => `${count.toLocaleString('en')} bytes`;

export function showFiles(place, model) {
  place.replaceChildren();
  for (const file of model.files) {
    const told = element('dd', `${word(file)}, ${bytes(file.size_bytes)}, sha256 `);
    told.append(element('code', file.sha256));
    place.append(element('dt', file.name), told);
  }
  const { accuracy } = model;
  if (accuracy && Number.isFinite(accuracy.float_top1) && Number.isFinite(accuracy.quantized_top1)) {
    const points = accuracy.quantized_top1 - accuracy.float_top1;
    const told = `top-1 ${accuracy.float_top1.toFixed(2)} % in float, ${accuracy.quantized_top1.toFixed(2)} % quantized `
      + `(${signed(points, 2)} points) on ${Number(accuracy.samples).toLocaleString('en')} images`;
    place.append(element('dt', 'As the record says'), element('dd', told));
  }
}

export function showImage(canvas, { data, width, height }, channels, swapped = false) {
  [canvas.width, canvas.height] = [width, height];
  const shown = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) shown.data[4 * i + c] = data[i * channels + (channels === 1 ? 0 : swapped ? 2 - c : c)];
    shown.data[4 * i + 3] = 255;
  }
  canvas.getContext('2d').putImageData(shown, 0, 0);
}

export function showScores({ table, answer, difference }, model, outputs) {
  const label = (i) => model.labels?.[i] ?? `class ${i}`;
  const scores = outputs.map((output) => (model.logits ? softmax(output) : Array.from(output)));
  const text = (value) => (model.logits ? `${(100 * value).toFixed(1)} %` : value.toPrecision(4));
  const both = outputs.length > 1;
  head(table, ['class', ...model.files.map(word), ...(both ? [model.logits ? 'difference, points' : 'difference'] : [])]);
  const tops = scores.map((one) => largest(one, TOP));
  const rows = [...new Set(tops.flat())].sort((a, b) => scores[0][b] - scores[0][a] || a - b);
  table.tBodies[0].replaceChildren(...rows.map((i) => {
    const cells = scores.map((one) => {
      const cell = element('td', text(one[i]), 'bar');
      if (model.logits) cell.style.setProperty('--share', `${100 * one[i]}%`);
      return cell;
    });
    if (both) cells.push(element('td', signed((model.logits ? 100 : 1) * (scores[1][i] - scores[0][i]), model.logits ? 1 : 4)));
    return rowOf(label(i), cells);
  }));
  const firsts = tops.map((top) => top[0]);
  const same = firsts.every((first) => first === firsts[0]);
  answer.textContent = same
    ? `${label(firsts[0])}${both ? ', says either file' : ''}`
    : firsts.map((first, i) => `${word(model.files[i])} says ${label(first)}`).join(', ');
  // For scripts that drive the page: how often it showed something, and the outputs as they came out of the files.
  table.dataset.shown = String(Number(table.dataset.shown ?? 0) + 1);
  table.dataset.outputs = JSON.stringify(outputs.map((output) => Array.from(output)));
  if (both) {
    const largestGap = Math.max(...outputs[0].map((value, i) => Math.abs(value - outputs[1][i])));
    difference.textContent = `Largest difference of an output: ${largestGap.toPrecision(3)}`;
  }
}

export function showTimes(table, network) {
  head(table, ['file', 'median, ms', 'p90, ms', 'runs']);
  table.tBodies[0].replaceChildren(...network.model.files.map((file, i) => {
    const summary = network.summary(i);
    const cells = summary ? [ms(summary.median), ms(summary.p90), summary.runs] : ['', '', 0];
    return rowOf(word(file), cells.map((value) => element('td', value)));
  }));
}

const signed = (value, digits) => `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(digits)}`;
