/** Lets the service worker keep the page with the build of LiteRT that this browser took, and says so. */
export async function keepForOffline(place, list, build) {
  if (!navigator.serviceWorker || build === undefined) {
    place.textContent = navigator.serviceWorker ? '' : 'Without https or localhost the page cannot be kept for offline use.';
    return;
  }
  try {
    await navigator.serviceWorker.register('sw.js');
    const { active } = await navigator.serviceWorker.ready;
    const keep = ['.js', '.wasm'].map((end) => `${list.litert}litert_wasm${build}_internal${end}`);
    await new Promise((resolve) => {
      const channel = new MessageChannel();
      channel.port1.onmessage = resolve;
      active.postMessage({ keep }, [channel.port2]);
    });
    place.textContent = 'Kept on this device: the page works without a network now.';
    document.body.dataset.offline = 'true';
  } catch {
    place.textContent = 'This browser does not keep the page for offline use.';
  }
}
