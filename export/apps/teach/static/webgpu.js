// The graphics card, which runs a network by WebGPU: whether there is one, and whether its answers
// are those of wasm, and faster.

// A score is the product of two vectors of length 1, so it moves by no more than one of them does:
// at most by the last of the three decimals that the page shows.
export const TOLERANCE = 1e-3;
const TIMED = 3; // runs of each

// The runtime with WebGPU waits for the card by JSPI. A browser may also offer a processor that
// stands in for a card: it takes seconds where wasm takes milliseconds.
export async function hasCard() {
  if (!("Suspending" in WebAssembly)) return false;
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  return Boolean(adapter) && !adapter.info?.isFallbackAdapter;
}

// Why wasm is the better one for a network, in words; "" if WebGPU is. `card` and `wasm` give the
// embedding (d) of `probe`, the pixels of a picture.
export async function objection(card, wasm, probe) {
  const [here, there] = [await wasm(probe), await card(probe)]; // and both are warm now
  const off = Math.hypot(...here.map((value, i) => value - there[i]));
  // A NaN is no small distance.
  if (!(off <= TOLERANCE)) {
    return `its scores are off by up to ${off.toPrecision(2)}, but only ${TOLERANCE} is allowed`;
  }
  const [slow, fast] = [await rateOf(wasm, probe), await rateOf(card, probe)];
  if (fast >= slow) return "";
  return `it reaches ${fast.toFixed(1)} pictures per second, but wasm ${slow.toFixed(1)}`;
}

// Pixels that make every channel and place of a network answer, the same each time.
export function noise(length) {
  let state = 1;
  return Float32Array.from({ length }, () => (state = (state * 16807) % 2147483647) % 256);
}

async function rateOf(run, probe) {
  const start = performance.now();
  for (let i = 0; i < TIMED; i++) await run(probe);
  return (1000 * TIMED) / (performance.now() - start);
}
