// Builds the page into ../built, which ships in the wheel: our scripts bundled, LiteRT.js's WebAssembly packed by gzip.
import { build } from 'esbuild';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';

const out = process.argv[2] ?? '../built';
const core = 'node_modules/@litertjs/core';
const { version, license } = JSON.parse(await readFile(`${core}/package.json`, 'utf8'));
const litert = `litert-${version}`;
// Relaxed SIMD; without it (Safari); with threads. The fourth, JSPI, is for WebNN and models that WebGPU takes in part.
const builds = ['', '_compat', '_threaded'].map((kind) => `litert_wasm${kind}_internal`);

await rm(out, { recursive: true, force: true });
await mkdir(`${out}/${litert}`, { recursive: true });
await build({
  entryPoints: ['src/app.js', 'src/agent.js', 'src/engine.js'],
  outdir: out, bundle: true, minify: true, format: 'iife', target: 'es2022', charset: 'utf8', legalComments: 'inline',
});
for (const name of ['index.html', 'agent.html', 'style.css', 'sw.js', 'icon.svg']) await cp(`src/${name}`, `${out}/${name}`);
for (const name of builds) {
  await writeFile(`${out}/${litert}/${name}.js`, await readFile(`${core}/wasm/${name}.js`)); // not its mode
  await writeFile(`${out}/${litert}/${name}.wasm.gz`, gzipSync(await readFile(`${core}/wasm/${name}.wasm`), { level: 9 }));
}
await writeFile(`${out}/NOTICE.txt`, [
  `${litert}/ and the part of app.js, agent.js and engine.js that loads it are @litertjs/core ${version} and`,
  `@litertjs/wasm-utils, Copyright Google LLC, licence ${license}, unmodified:`,
  'https://github.com/google-ai-edge/LiteRT/tree/main/litert/js. The rest is tfeff, Apache-2.0. The text of the',
  'licence: https://www.apache.org/licenses/LICENSE-2.0', '',
].join('\n'));
