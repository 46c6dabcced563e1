// Draws votes as bars, for the page that asks and for the page that teaches.

import { find, make, show } from "./elements.js";

export const SHOWN = 5; // neighbours, and classes with a share of the vote

// Draws [{ label, share }], the largest first; `percent` puts a share into words.
export function drawVotes(votes, percent) {
  // A soft vote gives all classes a little.
  const large = votes.filter(({ share }, rank) => rank === 0 || (rank < SHOWN && share >= 0.005));
  const rows = large.map(({ label, share }) => {
    const level = make("span", "level");
    level.style.width = `${100 * share}%`;
    const track = make("span", "track", level);
    track.setAttribute("aria-hidden", "true");
    return make("li", "", make("span", "", label), track, make("span", "number", percent(share)));
  });
  find("vote-list").replaceChildren(...rows);
  show("votes");
}
