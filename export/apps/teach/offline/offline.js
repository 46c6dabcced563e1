// Keeps the page's files, so that it opens without a network; see service-worker.js.

// Without https the browser offers no service workers, and the page works only online.
navigator.serviceWorker?.register(new URL("service-worker.js", import.meta.url));
