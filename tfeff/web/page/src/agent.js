// `tfeff bench --on browser`: takes commands from the server that opened this page, and answers. Each handle is an engine.

import { encode } from './base64.js';
import { Engine } from './client.js';

const token = location.hash.slice(1);
const engines = new Map();

const arrays = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array };
const decode = ({ dtype, base64 }) => new arrays[dtype](Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)).buffer);

const commands = {
  async hello() {
    return { user_agent: navigator.userAgent, cores: navigator.hardwareConcurrency, isolated: crossOriginIsolated };
  },
  async load({ handle, url, litert, threads, accelerator }) {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`${url}: ${response.status}`);
    engines.get(handle)?.close();
    const base = new URL(litert, location.href).href;
    const engine = await Engine.open(base, await response.arrayBuffer(), { threads, accelerator });
    engines.set(handle, engine);
    return { ...engine.loaded, ...engine.started };
  },
  fill: ({ handle, values }) => engines.get(handle).call('fill', { values: values.map(decode) }),
  run: ({ handle, count }) => engines.get(handle).call('run', { count }),
  async outputs({ handle, values }) {
    const { outputs } = await engines.get(handle).call('infer', { values: values.map(decode) });
    return { outputs: outputs.map((array) => ({ dtype: array.constructor.name.replace('Array', '').toLowerCase(), base64: encode(array) })) };
  },
  async close({ handle }) {
    engines.get(handle)?.close();
    engines.delete(handle);
    return {};
  },
};

async function serve() {
  let answer = null;
  for (;;) {
    const response = await fetch('agent', { method: 'POST', headers: { 'X-Tfeff-Token': token, 'Content-Type': 'application/json' }, body: JSON.stringify(answer) });
    if (!response.ok) break; // the bench is over
    const { id, command, ...values } = await response.json();
    answer = null;
    if (command === undefined) continue; // nothing to do yet
    document.getElementById('state').textContent = command;
    try {
      answer = { id, reply: await commands[command](values) };
    } catch (error) {
      answer = { id, error: String(error?.message ?? error) };
    }
  }
}

serve();
