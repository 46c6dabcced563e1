// A zip file of files as they are: photos are compressed already.

const UTF8 = 0x0800; // the flag that names are UTF-8
const DAY = 0x21; // 1 January 1980, the first day that a zip knows
const HEAD = 30; // bytes before a file's name
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
    const facts = [
      u16(20, UTF8, 0, 0, DAY), // version, flags, stored as it is, time, day
      u32(crc32(bytes), bytes.length, bytes.length), // packed and unpacked
      u16(path.length, 0), // no extra field
    ];
    parts.push(u32(0x04034b50), ...facts, path, blob);
    // no comment, disk 0, no attributes; and where the file starts
    directory.push(u32(0x02014b50), u16(20), ...facts, u16(0, 0, 0), u32(0, offset), path);
    offset += HEAD + path.length + bytes.length;
    if (offset > MOST_BYTES) throw new Error("The photos are too large for one zip file.");
  }
  const size = directory.reduce((sum, { length }) => sum + length, 0);
  const count = files.length;
  const end = [u32(0x06054b50), u16(0, 0, count, count), u32(size, offset), u16(0)];
  return new Blob([...parts, ...directory, ...end], { type: "application/zip" });
}

// Numbers of two bytes, and of four, little-endian.
const u16 = (...values) => Uint8Array.from(values.flatMap((one) => [one, one >>> 8]));
const u32 = (...values) =>
  Uint8Array.from(values.flatMap((one) => [one, one >>> 8, one >>> 16, one >>> 24]));

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
