// What the page shows. Every name is set as text, never as HTML.

import { taskOf } from './tasks/index.js';
import { short } from './tasks/numbers.js';

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

/** A difference in the metric's unit. */
function change({ delta, unit }) {
  return `${signed(delta, unit === '%' ? 2 : undefined)}${unit === '%' ? ' points' : unit && ` ${unit}`}`;
}

export function showFiles(place, model) {
  place.replaceChildren();
  for (const file of model.files) {
    const told = element('dd', `${word(file)}, ${bytes(file.size_bytes)}, sha256 `);
    told.append(element('code', file.sha256));
    place.append(element('dt', file.name), told);
  }
  for (const accuracy of model.accuracy) {
    const { metric, unit, float, quantized, samples } = accuracy;
    const figure = (value) => `${unit === '%' ? value.toFixed(2) : short(value)}${unit && ` ${unit}`}`;
    const told = `${metric} ${figure(float)} in float, ${figure(quantized)} quantized (${change(accuracy)}) on `
      + `${samples.toLocaleString('en')} samples`;
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

/**
 * Draws what has a place in the image: the first file's boxes with a line, the second's dashed.
 * @param back from a box in pixels of the network's input to one in pixels of the image
 * @param least the score from which on a box is shown
 */
export function showFrames(canvas, model, outputs, back, least) {
  const context = canvas.getContext('2d');
  context.lineWidth = Math.max(1, canvas.width / 200);
  context.font = `${Math.max(8, Math.round(canvas.width / 30))}px sans-serif`;
  canvas.frames = outputs.map(() => []); // for scripts that drive the page: what was drawn of each file
  for (const spec of model.tasks) {
    const task = taskOf(spec.name);
    if (!task.frames) continue;
    outputs.forEach((one, file) => {
      context.setLineDash(file ? [4 * context.lineWidth, 3 * context.lineWidth] : []);
      for (const { box, name, score, colour } of task.frames(task.decode(one, spec), spec, least)) {
        const [left, top, right, bottom] = back(box);
        canvas.frames[file].push({ box: [left, top, right, bottom], name, score });
        context.strokeStyle = context.fillStyle = colour;
        context.strokeRect(left, top, right - left, bottom - top);
        if (!file) context.fillText(name, left + context.lineWidth, Math.max(top - context.lineWidth, context.lineWidth * 8));
      }
    });
  }
}

/**
 * What each file says of an image, task by task.
 * @param outputs of each file, { port: { shape, data } }
 * @param least the score from which on a part with a place is shown
 */
export function showOutputs({ place, answer, difference }, model, outputs, least) {
  const told = [];
  const tables = model.tasks.map((spec) => {
    const task = taskOf(spec.name);
    const of = model.tasks.length > 1 ? `${spec.outputs.join(', ')}: ` : '';
    const predictions = outputs.map((one) => task.decode(one, spec));
    const words = answered(model, predictions.map((one) => task.answer(one, spec, least)));
    if (words) told.push(of + words);
    return tableOf(model, task.table(predictions, spec, least), of);
  });
  place.replaceChildren(...tables);
  answer.textContent = told.join('; ') || 'What the outputs hold:';
  if (outputs.length > 1) {
    difference.textContent = `Largest difference of an output: ${largestGap(...outputs).toPrecision(3)}`;
  }
  // For scripts that drive the page: how often it showed something, and the outputs as they came out of the files.
  place.dataset.shown = String(Number(place.dataset.shown ?? 0) + 1);
  place.outputs = outputs;
}

/** What the files answer, in a line. */
function answered(model, answers) {
  const [first] = answers;
  if (first === null) return '';
  if (answers.every((one) => one === first)) return `${first}${answers.length > 1 ? ', says either file' : ''}`;
  return answers.map((one, i) => `${word(model.files[i])} says ${one}`).join(', ');
}

/** @param of the names of the outputs, of one task among several */
function tableOf(model, { caption, head: first, percent, rows }, of) {
  const table = element('table');
  const both = model.files.length > 1;
  const difference = percent ? 'difference, points' : 'difference';
  table.append(element('caption', of + caption, ...(of ? [] : ['unseen'])));
  table.createTHead();
  head(table, [first, ...model.files.map(word), ...(both ? [difference] : [])]);
  for (const { name, values } of rows) {
    if (values === null || !table.tBodies.length) table.createTBody();
    const body = table.tBodies[table.tBodies.length - 1];
    if (values === null) {
      body.append(rowOf(name, []));
      [body.lastChild.firstChild.colSpan, body.lastChild.firstChild.scope] = [model.files.length + 1 + both, 'rowgroup'];
      continue;
    }
    const cells = values.map((value) => {
      const cell = element('td', percent ? `${(100 * value).toFixed(1)} %` : short(value));
      if (percent) {
        cell.classList.add('bar');
        cell.style.setProperty('--share', `${100 * value}%`);
      }
      return cell;
    });
    const gap = values[1] - values[0];
    if (both) cells.push(element('td', percent ? signed(100 * gap, 1) : signed(gap)));
    body.append(rowOf(name, cells));
  }
  return table;
}

function largestGap(one, other) {
  let most = 0;
  for (const [port, { data }] of Object.entries(one)) {
    for (let i = 0; i < data.length; i++) most = Math.max(most, Math.abs(Number(data[i]) - Number(other[port].data[i])));
  }
  return most;
}

export function showTimes(table, network) {
  head(table, ['file', 'median, ms', 'p90, ms', 'runs']);
  table.tBodies[0].replaceChildren(...network.model.files.map((file, i) => {
    const summary = network.summary(i);
    const cells = summary ? [ms(summary.median), ms(summary.p90), summary.runs] : ['', '', 0];
    return rowOf(word(file), cells.map((value) => element('td', value)));
  }));
}

/** With its sign; of four digits where it is not said how many stand behind the point. */
function signed(value, digits) {
  const size = Math.abs(value);
  const text = digits === undefined ? short(size) : size.toFixed(digits);
  return `${Number(text) === 0 ? '' : value < 0 ? '−' : '+'}${text}`;
}
