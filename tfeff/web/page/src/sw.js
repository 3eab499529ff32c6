// Keeps the page for use without a network. Its first line, VERSION, is written by tfeff and changes with any file.
// With a network, the server's word counts; files whose address changes with their bytes are taken from the cache.

const CACHE = `tfeff-${VERSION}`;
const LASTING = /\/(files|samples|litert-[^/]+)\//;

self.addEventListener('install', (event) => {
  event.waitUntil((async () => {
    const listed = await (await fetch('models.json', { cache: 'no-cache' })).json();
    await (await caches.open(CACHE)).addAll(['./', ...listed.assets.filter((name) => name !== 'sw.js')]);
    await self.skipWaiting();
  })());
});

self.addEventListener('activate', (event) => {
  event.waitUntil((async () => {
    const old = (await caches.keys()).filter((name) => name.startsWith('tfeff-') && name !== CACHE);
    await Promise.all(old.map((name) => caches.delete(name)));
    await self.clients.claim();
  })());
});

// The page says which of LiteRT's builds it took.
self.addEventListener('message', (event) => {
  event.waitUntil((async () => {
    await (await caches.open(CACHE)).addAll(event.data.keep);
    event.ports[0]?.postMessage('kept');
  })());
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  if (request.method !== 'GET' || new URL(request.url).origin !== self.location.origin) return;
  event.respondWith(answer(request));
});

async function answer(request) {
  const kept = () => caches.match(request, { ignoreSearch: true, ignoreVary: true });
  if (LASTING.test(new URL(request.url).pathname)) {
    const found = await kept();
    if (found) return isolated(found);
  }
  try {
    return isolated(await fetch(request));
  } catch (error) {
    const found = await kept();
    if (found) return isolated(found);
    throw error;
  }
}

/** Adds the headers that give a page threads and a fine clock, for servers that do not send them. */
function isolated(response) {
  if (!response.ok || response.headers.has('Cross-Origin-Embedder-Policy')) return response;
  const headers = new Headers(response.headers);
  headers.set('Cross-Origin-Opener-Policy', 'same-origin');
  headers.set('Cross-Origin-Embedder-Policy', 'require-corp');
  headers.set('Cross-Origin-Resource-Policy', 'same-origin');
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}
