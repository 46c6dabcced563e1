// A camera frame as a photo file. What is taught is embedded from this file, so that the photos
// that are saved, and a build of them, hold exactly what was taught.

const WIDEST = 640;
const QUALITY = 0.95;

// A JPEG Blob of an ImageBitmap, which is consumed.
export async function photoOf(frame) {
  const scale = Math.min(1, WIDEST / frame.width);
  const [width, height] = [frame.width, frame.height].map((side) => Math.round(side * scale));
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d", { colorSpace: "srgb" }).drawImage(frame, 0, 0, width, height);
  frame.close();
  return canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY });
}

// The ending of a photo's name.
export function ending(photo) {
  const kinds = { "image/jpeg": "jpg", "image/png": "png", "image/webp": "webp" };
  const others = { "image/gif": "gif", "image/bmp": "bmp", "image/avif": "avif" };
  const named = /\.([a-z0-9]{2,5})$/i.exec(photo.name ?? "");
  return kinds[photo.type] ?? others[photo.type] ?? named?.[1].toLowerCase() ?? "jpg";
}
