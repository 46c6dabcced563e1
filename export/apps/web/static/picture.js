// A picture file, or a frame, as the bytes of its pixels.

const ROWS = 512; // read at once, as phones limit how large a canvas may be

// { width, height, data: RGB } of a Blob or an ImageBitmap: upright after EXIF, transparency on
// white, the colours of a profile in sRGB, as the build read its photos.
export async function rgb(source) {
  const bitmap = source instanceof ImageBitmap ? source : await decode(source);
  const { width, height } = bitmap;
  const data = new Uint8Array(width * height * 3);
  const canvas = new OffscreenCanvas(width, Math.min(ROWS, height));
  const context = canvas.getContext("2d", { colorSpace: "srgb", willReadFrequently: true });
  for (let top = 0; top < height; top += ROWS) {
    const rows = Math.min(ROWS, height - top);
    context.fillStyle = "white";
    context.fillRect(0, 0, width, rows);
    context.drawImage(bitmap, 0, -top);
    const rgba = context.getImageData(0, 0, width, rows).data;
    for (let from = 0, to = top * width * 3; from < rgba.length; from += 4) {
      data[to++] = rgba[from];
      data[to++] = rgba[from + 1];
      data[to++] = rgba[from + 2];
    }
  }
  bitmap.close();
  return { width, height, data };
}

async function decode(file) {
  try {
    return await createImageBitmap(file, {
      imageOrientation: "from-image",
      colorSpaceConversion: "default",
      premultiplyAlpha: "none",
    });
  } catch {
    throw new Error(`This browser cannot read ${file.name || "this picture"}.`);
  }
}
