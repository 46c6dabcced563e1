// A test round: frames of a named class that are only asked about, not taught.

import { holds } from "./hold.js";
import { find, make } from "./page.js";

const SHOWN = 5; // rounds

// `live` gives the frames, `classify` the class for one; `say` tells a screen reader the result.
export function offerRound(live, classify, say) {
  const begin = () => {
    const name = find("round-class").value;
    const item = make("li");
    let [right, of] = [0, 0];
    const instead = new Map(); // how often each other answer came
    const take = async (frame) => {
      const said = await classify(frame);
      if (said === undefined) return;
      right += Number(said === name);
      if (said !== name) instead.set(said ?? "unknown", (instead.get(said ?? "unknown") ?? 0) + 1);
      const [most] = [...instead].sort(([, one], [, other]) => other - one);
      item.textContent = `${name}: right ${right} of ${++of}${most ? `; else mostly ${most[0]}` : ""}`;
      if (of > 1) return;
      find("rounds").prepend(item);
      if (find("rounds").children.length > SHOWN) find("rounds").lastChild.remove();
    };
    live.hold(take, () => say(item.textContent));
  };
  holds(find("round"), begin, () => live.release());
}

// The classes that can be tested.
export function drawRound(names) {
  const select = find("round-class");
  find("round").disabled = !names.length;
  if (Array.from(select.options, ({ value }) => value).join("\n") === names.join("\n")) return;
  const before = select.value;
  select.replaceChildren(...names.map((name) => new Option(name)));
  if (names.includes(before)) select.value = before;
}
