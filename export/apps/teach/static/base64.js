// Vectors as base-64 of little-endian float32, in pieces that no call stack is too small for.

const PIECE = 0x6000; // bytes; a multiple of 3, so that pieces can be joined

// The pieces of the text of some vectors.
export function* encoded(vectors) {
  const bytes = new Uint8Array(vectors.reduce((sum, one) => sum + 4 * one.length, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const vector of vectors) {
    for (const value of vector) {
      view.setFloat32(at, value, true);
      at += 4;
    }
  }
  for (let from = 0; from < bytes.length; from += PIECE) {
    yield btoa(String.fromCharCode(...bytes.subarray(from, from + PIECE)));
  }
}

export function decoded(text) {
  const letters = atob(text);
  const view = new DataView(new ArrayBuffer(letters.length));
  for (let i = 0; i < letters.length; i++) view.setUint8(i, letters.charCodeAt(i));
  if (letters.length % 4) throw new Error("its values are not float32 in base64");
  return Float32Array.from({ length: letters.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
}
