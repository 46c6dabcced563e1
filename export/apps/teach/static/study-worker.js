// Measures off the page's own thread. The page sends
//   { add: [{ id, unit }] }, { remove: [id] }        as examples come and go
//   { examples: [{ id, label, recording }], classes }
// and the worker replies { found } to the last, as from `study`.

import { Similarities } from "./similarities.js";
import { study } from "./study.js";

const similarities = new Similarities();

onmessage = ({ data }) => {
  if (data.add) for (const { id, unit } of data.add) similarities.add(id, unit);
  if (data.remove) similarities.remove(data.remove);
  if (data.examples) {
    const row = similarities.of(data.examples.map(({ id }) => id));
    postMessage({ found: study(data.examples, data.classes, row) });
  }
};
