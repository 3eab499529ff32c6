// `tfeff serve --collect`: this device's times, by the bench protocol, to the server that the page came from.

import { encode } from './base64.js';
import { Engine } from './client.js';
import { byPort } from './network.js';
import { protocol } from './protocol.js';
import { quantile } from './statistics.js';

const floats = (buffer) => new Float32Array(buffer);

export async function collect({ base, list, model, token, accelerator, threads, tell }) {
  const files = [];
  for (const file of model.files) files.push(await (await fetch(file.url)).arrayBuffer());
  const probe = floats(await (await fetch(`probes/${model.files[0].sha256}.bin`)).arrayBuffer());
  const options = { threads, accelerator };
  const outputs = [];
  let size, used;
  for (const bytes of files) {
    const engine = await Engine.open(base + list.litert, bytes, options);
    size = engine.loaded.inputs[0].shape.reduce((a, b) => a * b);
    used = engine.loaded.accelerator;
    const found = [];
    for (let at = 0; at < probe.length; at += size) {
      const { outputs: arrays } = await engine.call('infer', { values: [probe.slice(at, at + size)] });
      const ports = byPort(model, engine.loaded.outputs, arrays);
      for (const { name } of model.outputs) for (const value of ports[name].data) found.push(value);
    }
    outputs.push(new Float32Array(found));
    engine.close();
  }
  const open = async (i) => {
    const engine = await Engine.open(base + list.litert, files[i], options);
    await engine.call('fill', { values: [probe.slice(0, size)] });
    return engine;
  };
  const timed = await protocol(open, files.length, (share) => tell(`measuring: ${Math.round(100 * share)} %`));
  const results = timed.map(({ rounds_ms, times_ms }, i) => ({
    sha256: model.files[i].sha256,
    rounds_ms,
    p90_ms: quantile(times_ms, 0.9),
    quantiles_ms: [0.05, 0.25, 0.5, 0.75, 0.95].map((share) => quantile(times_ms, share)),
    runs: times_ms.length,
    outputs: encode(outputs[i]),
  }));
  const body = { accelerator: used, threads, cores: navigator.hardwareConcurrency || null, isolated: crossOriginIsolated, results };
  const response = await fetch('collect', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-Tfeff-Token': token },
    body: JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(`The server did not take it: ${answer.error}`);
  tell(answer.told);
}
