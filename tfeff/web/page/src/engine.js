// A web worker that runs one .tflite file by LiteRT.js: what bench/worker.py is among processes. It answers each message
// { id, command, ... } by { id, reply } or { id, error }.

import { loadAndCompile, loadLiteRt, supportsFeature, Tensor } from '@litertjs/core';
import { sha256 } from './sha256.js';

// A browser's clock ticks every 5 microseconds when the page is isolated, else every 100 or more. What is shorter than a
// hundred ticks is timed in groups, each invocation standing for the mean of its group.
const GROUP_MS = 100 * (self.crossOriginIsolated ? 0.005 : 0.1);
const log = [];
let model, accelerator, inputs = [], expectedMs = 0;

const commands = {
  async start({ litert, threads, accelerator: wanted }) {
    accelerator = wanted;
    const say = (...words) => { if (log.length < 200) log.push(words.join(' ')); };
    // LiteRT.js asks for a WebGPU device, wanted or not, and warns of its absence.
    if (accelerator !== 'webgpu') Object.defineProperty(navigator, 'gpu', { value: undefined });
    console.warn = say;
    self.Module = { print: say, printErr: say, locateFile: (name) => litert + name };
    if (threads > 1) self.Module.mainScriptUrlOrBlob = `${litert}litert_wasm_threaded_internal.js`;
    await loadLiteRt(litert, { threads: threads > 1 });
    return { build: threads > 1 ? '_threaded' : (await supportsFeature('relaxedSimd')) ? '' : '_compat' };
  },

  async load({ bytes, threads }) {
    const data = new Uint8Array(bytes);
    try {
      model = await loadAndCompile(data, { accelerator, cpuOptions: { numThreads: threads } });
    } catch (error) {
      throw new Error(`LiteRT cannot run it: ${error.message ?? error}${log.filter((line) => /^ERROR/.test(line)).slice(-1)
        .map((line) => ` (${line})`)}`);
    }
    const describe = ({ name, shape, dtype }) => ({ name, shape: Array.from(shape), dtype });
    return {
      sha256: await sha256(data),
      inputs: model.getInputDetails().map(describe),
      outputs: model.getOutputDetails().map(describe),
      // LiteRT.js hands a model to the CPU when the GPU takes only part of it.
      accelerator: model.options.accelerator ?? accelerator,
      isolated: self.crossOriginIsolated,
    };
  },

  /** What `run` is timed with: a typed array for each input. */
  async fill({ values }) {
    inputs.forEach((tensor) => tensor.delete());
    inputs = values.map((array, i) => new Tensor(array, Array.from(model.getInputDetails()[i].shape)));
    return {};
  },

  /** Nanoseconds of each of `count` invocations. */
  async run({ count }) {
    const times = [];
    while (times.length < count) {
      const size = Math.min(count - times.length, Math.max(1, expectedMs ? Math.ceil(GROUP_MS / expectedMs) : 1));
      const start = performance.now();
      for (let i = 0; i < size; i++) await invoke(inputs);
      expectedMs = (performance.now() - start) / size;
      for (let i = 0; i < size; i++) times.push(Math.max(1, Math.round(expectedMs * 1e6)));
    }
    return { times_ns: times };
  },

  /** The outputs for one set of inputs, and how long it took in milliseconds. */
  async infer({ values }) {
    const tensors = values.map((array, i) => new Tensor(array, Array.from(model.getInputDetails()[i].shape)));
    try {
      const start = performance.now();
      const found = await model.run(tensors);
      const outputs = [];
      for (const tensor of found) outputs.push((await tensor.data()).slice());
      const ms = performance.now() - start;
      found.forEach((tensor) => tensor.delete());
      return { outputs, ms };
    } finally {
      tensors.forEach((tensor) => tensor.delete());
    }
  },
};

async function invoke(tensors) {
  const outputs = await model.run(tensors);
  if (accelerator === 'webgpu') for (const tensor of outputs) await tensor.data(); // else it is only begun
  for (const tensor of outputs) tensor.delete();
}

self.onmessage = async ({ data: { id, command, ...values } }) => {
  try {
    self.postMessage({ id, reply: await commands[command](values) });
  } catch (error) {
    self.postMessage({ id, error: String(error?.message ?? error) });
  }
};
