// The page's end of an engine.

/** One file in one web worker. */
export class Engine {
  #worker = new Worker('engine.js');
  #waiting = new Map();
  #next = 0;
  #dead = null;

  constructor() {
    this.#worker.onmessage = ({ data: { id, reply, error } }) => {
      const { resolve, reject } = this.#waiting.get(id) ?? {};
      this.#waiting.delete(id);
      if (error === undefined) resolve?.(reply);
      else reject?.(new Error(error));
    };
    this.#worker.onerror = (event) => this.#end(event.message || 'the worker could not be started');
  }

  /** Starts LiteRT and loads a file; `bytes` is its ArrayBuffer or a promise of it: LiteRT starts meanwhile. */
  static async open(litert, bytes, { threads = 1, accelerator = 'wasm' } = {}) {
    const engine = new Engine();
    try {
      const starting = engine.call('start', { litert, threads, accelerator });
      const [started, data] = await Promise.all([starting, bytes]);
      engine.started = started;
      engine.loaded = await engine.call('load', { bytes: data, threads });
    } catch (error) {
      engine.close();
      throw error;
    }
    return engine;
  }

  call(command, values) {
    if (this.#dead) return Promise.reject(new Error(this.#dead));
    return new Promise((resolve, reject) => {
      const id = this.#next++;
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, command, ...values });
    });
  }

  close() {
    this.#end('closed');
  }

  #end(why) {
    this.#dead = why;
    this.#worker.terminate();
    this.#waiting.forEach(({ reject }) => reject(new Error(why)));
    this.#waiting.clear();
  }
}
