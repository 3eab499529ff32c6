// One network: its files (float, int8), each in an engine of its own.

import { Engine } from './client.js';
import { median, quantile } from './statistics.js';

const KEPT = 500; // times of each file
const MEASURE_MS = 1500;

async function take(file) {
  const response = await fetch(file.url);
  if (!response.ok) throw new Error(`${file.name}: the server answers ${response.status}`);
  return response.arrayBuffer();
}

/** The outputs of a file by the names of the record, which the file's signature has too; one alone needs no name. */
export function byPort({ outputs }, details, arrays) {
  const found = details.map(({ name }) => name);
  if (found.length !== outputs.length) throw new Error(`has ${found.length} outputs, the record says ${outputs.length}`);
  return Object.fromEntries(outputs.map(({ name, shape }) => {
    const at = outputs.length > 1 ? found.indexOf(name) : 0;
    if (at < 0) throw new Error(`has the outputs ${found.join(', ')}, the record says ${name}`);
    return [name, { shape: shape.slice(1), data: arrays[at] }];
  }));
}

export class Network {
  /** Fetches and starts the files of a model of models.json. */
  static async open(base, litert, model, options) {
    const network = new Network();
    Object.assign(network, { model, engines: [], times: model.files.map(() => []) });
    const opened = await Promise.allSettled(model.files.map(async (file) => {
      const engine = await Engine.open(base + litert, take(file), options);
      network.engines.push(engine); // in whatever order; sorted below
      if (engine.loaded.sha256 !== file.sha256) throw new Error(`${file.name}: is not the file that the page lists`);
      return engine;
    }));
    const failed = opened.find(({ status }) => status === 'rejected');
    if (failed) {
      network.close();
      throw failed.reason;
    }
    network.engines = opened.map(({ value }) => value);
    network.build = network.engines[0].started.build;
    return network;
  }

  /** What each file gives for one input, { port: { shape, data } } each. */
  async infer(values) {
    const outputs = [];
    this.last = values;
    for (const [i, engine] of this.engines.entries()) {
      const { outputs: arrays, ms } = await engine.call('infer', { values: [values] });
      outputs.push(byPort(this.model, engine.loaded.outputs, arrays));
      this.#keep(i, [ms]);
    }
    return outputs;
  }

  /** Times all files in turns. */
  async measure(tell) {
    const values = this.last ?? new Float32Array(this.engines[0].loaded.inputs[0].shape.reduce((a, b) => a * b));
    for (const engine of this.engines) {
      await engine.call('fill', { values: [values] });
      await engine.call('run', { count: 3 }); // the first pay for what a runtime does once
    }
    this.times = this.times.map(() => []);
    const until = performance.now() + MEASURE_MS;
    tell('measuring ...');
    do {
      for (const [i, engine] of this.engines.entries()) {
        const count = Math.min(100, Math.max(1, Math.floor(20 / (this.summary(i)?.median || 20))));
        const { times_ns } = await engine.call('run', { count });
        this.#keep(i, times_ns.map((ns) => ns / 1e6));
      }
    } while (performance.now() < until);
    tell('Measured in turns, in this browser, on this device; other programs and the battery have a say.');
  }

  /** Milliseconds: `median`, `p90` and how many `runs`; undefined before the first. */
  summary(i) {
    const times = this.times[i];
    return times.length ? { median: median(times), p90: quantile(times, 0.9), runs: times.length } : undefined;
  }

  close() {
    this.engines.forEach((engine) => engine.close());
  }

  #keep(i, times) {
    this.times[i] = [...this.times[i], ...times].slice(-KEPT);
  }
}
