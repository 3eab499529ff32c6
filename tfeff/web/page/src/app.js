// The page: an image in, what the same network says in float and int8 side by side out.

import { Camera } from './camera.js';
import { collect } from './collect.js';
import { decode } from './image.js';
import { Network } from './network.js';
import { keepForOffline } from './offline.js';
import { boxBack, normalize, pixels } from './preprocess.js';
import { showFiles, showFrames, showImage, showOutputs, showTimes } from './show.js';

const $ = (id) => document.getElementById(id);
const token = new URLSearchParams(location.hash.slice(1)).get('collect');
const base = new URL('./', location.href).href;

let list; // models.json
let network; // the chosen one, loaded
let image; // the last one given
let last; // what the network gave for it: { given, outputs }
let turn = 0; // of the last thing asked for: an older one that comes late is not shown

function complain(text) {
  $('problem').textContent = text;
  $('problem').hidden = !text;
}

/** Loads the chosen network as the controls say. */
async function load() {
  const mine = ++turn;
  const accelerator = $('accelerator').value;
  $('answer').textContent = 'Loading ...';
  network?.close();
  network = undefined;
  const model = list.models[Number($('network').value || 0)];
  showFiles($('files'), model);
  last = undefined;
  offerThresholds(model);
  try {
    const opened = await Network.open(base, list.litert, model, { threads: Number($('threads').value), accelerator });
    if (mine !== turn) return opened.close();
    network = opened;
  } catch (error) {
    if (mine !== turn) return;
    $('answer').textContent = '';
    complain(`${model.name}: ${error.message}`);
    return;
  }
  complain('');
  showTimes($('times'), network);
  if (image) await look(image);
  else $('answer').textContent = 'Ready: choose an image.';
}

/** Runs the network on an image and shows what it says. */
async function look(given) {
  image = given;
  if (!network) return; // `load` comes back to it
  const mine = ++turn;
  const { model } = network;
  const { preprocessing } = model.inputs[0];
  const seen = pixels(given, preprocessing, list.tall_first);
  showImage($('given'), given, 3);
  last = undefined;
  showImage($('seen'), seen, seen.channels, preprocessing.colour === 'bgr');
  $('seen-size').textContent = `As the network gets it: ${seen.width} by ${seen.height}`;
  try {
    const outputs = await network.infer(normalize(seen, preprocessing));
    if (mine !== turn) return;
    complain('');
    last = { given, outputs };
    showAnswers();
    showTimes($('times'), network);
  } catch (error) {
    if (mine === turn) complain(`${model.name}: ${error.message}`);
  }
}

/** The last outputs, by the thresholds as they stand. */
function showAnswers() {
  const { given, outputs } = last;
  const [least, most] = [Number($('least').value) / 100, Number($('most').value) / 100];
  const tasks = network.model.tasks.map((spec) => ('iou_threshold' in (spec.decode ?? {}) && $('most').dataset.moved
    ? { ...spec, decode: { ...spec.decode, iou_threshold: most } } : spec));
  const model = { ...network.model, tasks };
  showFrames($('given'), model, outputs, (box) => boxBack(box, given, model.inputs[0].preprocessing), least);
  showOutputs({ place: $('outputs'), answer: $('answer'), difference: $('difference') }, model, outputs, least);
}

/** The sliders, for a network whose boxes are told apart by them; the overlap begins at the record's. */
function offerThresholds(model) {
  const most = model.tasks.map(({ decode }) => decode?.iou_threshold).find((value) => typeof value === 'number');
  $('thresholds').hidden = most === undefined;
  $('most').parentElement.hidden = model.tasks.some(({ decode }) => decode?.listed); // decided in the file itself
  $('pictures').classList.toggle('boxes', most !== undefined); // where they lie has to be seen
  delete $('most').dataset.moved;
  if (most !== undefined) $('most').value = Math.round(100 * most);
  sayThresholds();
}

function sayThresholds() {
  for (const id of ['least', 'most']) $(`${id}-text`).textContent = `${$(id).value} %`;
}

async function take(blob, name) {
  press(null);
  camera.stop();
  try {
    await look(await decode(blob));
  } catch (error) {
    complain(`${name}: ${error.message}`);
  }
}

function press(button) {
  for (const one of $('samples').children) one.setAttribute('aria-pressed', String(one === button));
}

async function takeSample(sample, button) {
  const response = await fetch(sample.url);
  await take(await response.blob(), sample.name);
  press(button);
}

const camera = new Camera($('video'), $('camera'), look, complain);

function connect() {
  $('file').addEventListener('change', () => {
    if ($('file').files[0]) take($('file').files[0], $('file').files[0].name);
    $('file').value = '';
  });
  document.addEventListener('paste', (event) => {
    if (event.clipboardData?.files[0]) take(event.clipboardData.files[0], 'pasted');
  });
  // Anywhere on the page: a file dropped beside the box would replace the page.
  document.addEventListener('dragover', (event) => { event.preventDefault(); $('drop').classList.add('over'); });
  document.addEventListener('dragleave', () => $('drop').classList.remove('over'));
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    $('drop').classList.remove('over');
    const file = event.dataTransfer.files[0];
    if (file) take(file, file.name);
  });
  for (const id of ['network', 'threads', 'accelerator']) $(id).addEventListener('change', load);
  for (const id of ['least', 'most']) {
    $(id).addEventListener('input', () => {
      if (id === 'most') $(id).dataset.moved = 'true';
      sayThresholds();
      if (!last) return;
      showImage($('given'), last.given, 3);
      showAnswers();
    });
  }
  $('measure').addEventListener('click', () => busy(async () => {
    await network.measure((text) => { $('measured').textContent = text; });
    showTimes($('times'), network);
  }));
  $('send').addEventListener('click', () => busy(async () => {
    const tell = (text) => { $('measured').textContent = text; };
    await collect({ base, list, model: network.model, token, accelerator: $('accelerator').value, threads: Number($('threads').value), tell });
  }));
}

/** Runs what may not run twice at once, or while a network is being loaded. */
async function busy(action) {
  if (!network) return;
  const held = ['measure', 'send', 'network', 'threads', 'accelerator'];
  for (const id of held) $(id).disabled = true;
  camera.stop();
  try {
    await action();
  } catch (error) {
    complain(error.message);
  } finally {
    for (const id of held) $(id).disabled = false;
    offerThreads();
  }
}

function offerThreads() {
  $('threads').disabled = $('threads').options.length < 2;
}

/** What this browser can do, in the controls. */
async function offer() {
  const said = [];
  if (self.crossOriginIsolated) {
    for (let count = 2; count <= (navigator.hardwareConcurrency || 1); count++) $('threads').add(new Option(count));
  } else {
    said.push('Threads need https or localhost, and a server that isolates the page.');
  }
  offerThreads();
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  if (adapter) $('accelerator').add(new Option('the GPU (WebGPU)', 'webgpu'));
  else said.push('No WebGPU here.');
  if (!navigator.mediaDevices?.getUserMedia) {
    $('camera').disabled = true;
    said.push('The camera needs https or localhost.');
  }
  $('abilities').textContent = said.join(' ');
}

async function start() {
  const response = await fetch('models.json');
  list = await response.json();
  list.models.forEach((model, i) => $('network').add(new Option(model.name, i)));
  $('pick-network').hidden = list.models.length < 2;
  for (const sample of list.samples) {
    const button = document.createElement('button');
    const picture = new Image(40, 40);
    picture.src = sample.url;
    picture.alt = sample.name;
    button.type = 'button';
    button.title = sample.name;
    button.append(picture);
    button.setAttribute('aria-pressed', 'false');
    button.addEventListener('click', () => takeSample(sample, button));
    $('samples').append(button);
  }
  $('samples').hidden = !list.samples.length;
  $('send').hidden = !(list.collect && token);
  connect();
  const loading = load();
  if (list.samples.length) await takeSample(list.samples[0], $('samples').firstChild);
  await loading;
  document.body.dataset.ready = String(Boolean(network));
  await offer();
  await keepForOffline($('offline'), list, network?.build);
}

start().catch((error) => {
  $('answer').textContent = '';
  complain(`The page could not be started: ${error.message}`);
});
