// A zip file of files as they are: photos are compressed already.

const UTF8 = 0x0800; // the flag that names are UTF-8
const DAY = 0x21; // 1 January 1980, the first day that a zip knows
const MOST_FILES = 0xffff; // of a zip without extensions
const MOST_BYTES = 0xffffffff;

// A Blob of { name, blob } in this order.
export async function zip(files) {
  if (files.length > MOST_FILES) throw new Error("There are too many photos for one zip file.");
  const [parts, directory] = [[], []];
  let offset = 0;
  for (const { name, blob } of files) {
    const bytes = new Uint8Array(await blob.arrayBuffer());
    const path = new TextEncoder().encode(name);
    // version, flags, stored, time, day, checksum, packed and unpacked size, name, no extra field
    const shared = record([
      [2, 20],
      [2, UTF8],
      [2, 0],
      [2, 0],
      [2, DAY],
      [4, crc32(bytes)],
      [4, bytes.length],
      [4, bytes.length],
      [2, path.length],
      [2, 0],
    ]);
    parts.push(record([[4, 0x04034b50]]), shared, path, blob);
    // no comment, disk 0, no attributes, and where the file starts
    const place = record([[2, 0], [2, 0], [2, 0], [4, 0], [4, offset]]);
    directory.push(record([[4, 0x02014b50], [2, 20]]), shared, place, path);
    offset += 4 + shared.length + path.length + bytes.length;
    if (offset > MOST_BYTES) throw new Error("The photos are too large for one zip file.");
  }
  const size = directory.reduce((sum, { length }) => sum + length, 0);
  const [count, end] = [files.length, [4, 0x06054b50]];
  parts.push(
    ...directory,
    record([end, [2, 0], [2, 0], [2, count], [2, count], [4, size], [4, offset], [2, 0]]),
  );
  return new Blob(parts, { type: "application/zip" });
}

// Numbers of so many bytes, little-endian.
function record(fields) {
  const bytes = new Uint8Array(fields.reduce((sum, [width]) => sum + width, 0));
  let at = 0;
  for (const [width, value] of fields) {
    for (let i = 0; i < width; i++) bytes[at++] = value >>> (8 * i);
  }
  return bytes;
}

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

function crc32(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) value = TABLE[(value ^ byte) & 0xff] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}
