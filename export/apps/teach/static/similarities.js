// The cosine of every two examples. A new example is compared with all others once; what is known
// stays, so that an answer to "how good is it?" needs no further products.

import { cosine } from "./knn.js";

export class Similarities {
  #ids = []; // in the order of the rows
  #units = []; // embeddings of unit length
  #rows = []; // row i has the cosine of i and each of 0 … i - 1

  add(id, unit) {
    this.#rows.push(Float32Array.from(this.#units, (other) => cosine(unit, other)));
    this.#ids.push(id);
    this.#units.push(unit);
  }

  remove(ids) {
    const gone = new Set(ids);
    const stays = this.#ids.map((id) => !gone.has(id));
    const staying = (_, i) => stays[i];
    const first = stays.indexOf(false);
    if (first < 0) return;
    // Rows before the first that goes have none of its columns.
    this.#rows = this.#rows
      .map((row, i) => (i <= first ? row : row.filter(staying)))
      .filter(staying);
    this.#ids = this.#ids.filter(staying);
    this.#units = this.#units.filter(staying);
  }

  // A function of i that gives the cosines of ids[i] and each of these ids.
  of(ids) {
    const place = new Map(this.#ids.map((id, i) => [id, i]));
    const places = ids.map((id) => place.get(id));
    return (i) => {
      const at = places[i];
      const own = this.#rows[at];
      const found = new Float64Array(places.length);
      for (let j = 0; j < places.length; j++) {
        const other = places[j];
        if (other === at) found[j] = 1;
        else found[j] = other < at ? own[other] : this.#rows[other][at];
      }
      return found;
    };
  }
}
