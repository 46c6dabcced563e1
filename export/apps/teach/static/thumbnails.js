// The photos of examples as addresses for images, one for each example.

const addresses = new Map();

// The photo's address; null for an example from a file, which has none.
export function addressOf({ id, photo }) {
  if (!photo) return null;
  if (!addresses.has(id)) addresses.set(id, URL.createObjectURL(photo));
  return addresses.get(id);
}

export function forget(ids) {
  for (const id of ids) {
    URL.revokeObjectURL(addresses.get(id));
    addresses.delete(id);
  }
}
