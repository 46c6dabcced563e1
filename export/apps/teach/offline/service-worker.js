// Answers the page's requests from a copy of its files. What is taught is not kept here.
//
// Before this text come VERSION, a hash of all files, FILES, their names, and WEBGPU, those that only
// a browser with a graphics card needs.

const OURS = `pocketknn ${registration.scope} `; // other pages of this site keep copies of their own
const COPY = OURS + VERSION;

addEventListener("install", (event) => {
  event.waitUntil(install());
});

async function install() {
  const copy = await caches.open(COPY);
  await copy.addAll(FILES);
  const card = await navigator.gpu?.requestAdapter().catch(() => null);
  if (card && !card.info?.isFallbackAdapter) await copy.addAll(WEBGPU);
}

addEventListener("activate", (event) => event.waitUntil(clear()));

async function clear() {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith(OURS) && name !== COPY);
  await Promise.all(old.map((name) => caches.delete(name)));
}

addEventListener("fetch", (event) => {
  if (event.request.method === "GET") event.respondWith(answer(event.request));
});

async function answer(request) {
  const copy = await caches.open(COPY);
  return isolated((await copy.match(request, { ignoreSearch: true })) ?? (await fetch(request)));
}

// With these headers, which static servers do not send, the model may use threads.
function isolated(response) {
  if (!response.ok) return response;
  const headers = new Headers(response.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  return new Response(response.body, { headers });
}
