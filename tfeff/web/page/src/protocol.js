// How files are timed against each other: `tfeff/bench/protocol.py` in short. Fresh workers in each of three launches, a
// warm-up until three blocks agree, then rounds in which every file runs one block, in shuffled order.

import { median } from './statistics.js';

const LAUNCHES = 3, MIN_ROUNDS = 5, MAX_ROUNDS = 60, LAUNCH_MS = 2500;
const BLOCK_MS = 30, WARMUP_BLOCK_MS = 10, WARMUP_MS = 600, AGREEMENT = 1.03, MAX_BLOCK = 2000;

const blockSize = (blockMs, ms) => Math.max(1, Math.min(MAX_BLOCK, Math.floor(blockMs / Math.max(ms, 1e-6))));
const run = async (engine, count) => (await engine.call('run', { count })).times_ns.map((ns) => ns / 1e6);

async function warmUp(engine) {
  const until = performance.now() + WARMUP_MS;
  const medians = [median(await run(engine, 1))];
  for (;;) {
    medians.push(median(await run(engine, blockSize(WARMUP_BLOCK_MS, medians.at(-1)))));
    const last = medians.slice(-3);
    if ((medians.length > 3 && Math.max(...last) <= AGREEMENT * Math.min(...last)) || performance.now() >= until) return medians.at(-1);
  }
}

/**
 * Times files against each other.
 * @param open opens an engine for file number i, its inputs filled
 * @param count how many files
 * @param tell called with the share done
 * @returns for each file `rounds_ms` (a list for each launch) and `times_ms` (all invocations)
 */
export async function protocol(open, count, tell) {
  const found = Array.from({ length: count }, () => ({ rounds_ms: [], times_ms: [] }));
  for (let launch = 0; launch < LAUNCHES; launch++) {
    const engines = [];
    try {
      for (let i = 0; i < count; i++) engines.push(await open(i));
      const until = performance.now() + LAUNCH_MS;
      const expected = [];
      for (const engine of engines) expected.push(await warmUp(engine));
      found.forEach((file) => file.rounds_ms.push([]));
      for (let round = 0; round < MAX_ROUNDS && (round < MIN_ROUNDS || performance.now() < until); round++) {
        for (const i of shuffled(count)) {
          const size = blockSize(BLOCK_MS, expected[i]);
          // The first finds the caches full of another file.
          const times = (await run(engines[i], size > 1 ? size + 1 : 1)).slice(size > 1 ? 1 : 0);
          expected[i] = median(times);
          found[i].rounds_ms.at(-1).push(expected[i]);
          for (const ms of times) found[i].times_ms.push(ms);
        }
        tell((launch + Math.min(1, 1 - (until - performance.now()) / LAUNCH_MS)) / LAUNCHES);
      }
    } finally {
      engines.forEach((engine) => engine.close());
    }
  }
  return found;
}

function shuffled(count) {
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}
