// Builds what was taught, by the local server that serves this page.

import { find, make, show, tell } from "./page.js";

const EVERY = 1000; // ms between two looks at a build

export class Build {
  #open = false; // whether the lines were opened by us: they are, until the files are there

  // `lesson` is the id of what is taught here, `photos` gives the zip file to build, `model` is the
  // name of the network that the page uses, `problem` shows an error, `say` tells a screen reader.
  constructor(lesson, photos, model, problem, say) {
    Object.assign(this, { lesson, photos, model, problem, say });
    find("build").addEventListener("click", () => this.#start());
    find("stop").addEventListener("click", () => {
      tell(find("stop"), "Stopping …"); // it cleans up, which may take a while
      fetch("stop", { method: "POST" }).catch(() => {}); // `#watch` says that the server is gone
    });
    show("build-section");
    this.#watch(); // a build may be running, or done, from before
  }

  async #start() {
    this.problem("");
    find("build").disabled = true;
    const { lesson, model } = this;
    this.#draw({ building: true, lines: ["Packing the photos …"], done: null, lesson });
    find("stop").focus(); // as the button that had the focus is off
    try {
      await read(await fetch("state")); // another server may answer by now, and reads no photos
      const response = await fetch(`build?${new URLSearchParams({ model, lesson })}`, {
        method: "POST",
        headers: { "Content-Type": "application/zip" },
        body: await this.photos(),
      });
      const { ok, error } = await read(response);
      if (!ok) throw new Error(error ?? "The build could not start.");
      this.say("Building.");
      this.watching = true;
      await this.#watch();
    } catch (error) {
      this.#draw({ building: false, lines: [], done: null, lesson });
      this.problem(reason(error));
    }
  }

  // Follows a build until it ends.
  async #watch() {
    try {
      for (;;) {
        const state = await read(await fetch("state"));
        this.#draw(state);
        if (!state.building) return this.#end(state.done);
        this.watching = state.lesson === this.lesson;
        await new Promise((resolve) => setTimeout(resolve, EVERY));
      }
    } catch (error) {
      this.#draw({ building: false, lines: [], done: null, lesson: this.lesson });
      this.problem(reason(error));
    }
  }

  #end(done) {
    if (this.watching && done) {
      const said = done.error ? "The build is done, but files are missing." : "The build is done.";
      this.say(done.ok ? said : "The build failed.");
      if (!done.ok) this.problem(done.error ?? "The build failed.");
    }
    this.watching = false;
  }

  #draw(state) {
    const { building, lesson } = state;
    const own = lesson === this.lesson;
    const { lines, done } = own ? state : { lines: [], done: null };
    tell(find("other"), own ? "" : ofAnother(state));
    find("build").disabled = building;
    if (!building) {
      if (document.activeElement === find("stop")) find("build").focus();
      tell(find("stop"), "Stop");
    }
    show("stop", building);
    show("building", building);
    show("log", lines.length > 0);
    const open = building || done?.ok === false;
    if (open !== this.#open) find("log").open = this.#open = open; // else it stays as it was left
    tell(find("lines"), lines.join("\n"));
    find("lines").scrollTop = find("lines").scrollHeight;
    const files = done?.ok ? done.files : [];
    const links = files.map(({ name, url, bytes }) => {
      const link = make("a", "", name);
      link.href = url;
      link.download = name;
      return make("li", "", link, ` ${(bytes / 1e6).toFixed(1)} MB`);
    });
    if (done?.ok && done.report) {
      const link = make("a", "", "Report");
      link.href = done.report;
      link.target = "_blank";
      links.push(make("li", "", link, " shows how good it is, and what it mixes up"));
    }
    find("files").replaceChildren(...links);
    tell(find("left-out"), (done?.ok && done.error) || "");
    tell(find("folder"), done?.ok ? `Written into ${done.folder}` : "");
  }
}

// The build of another lesson in a line, as its lines and its files would be taken for this one's.
function ofAnother({ building, done }) {
  if (building) return "Another lesson is being built; this one can be built afterwards.";
  if (!done?.ok) return "";
  return `The build of another lesson is in ${done.folder}; a build of this one replaces it.`;
}

// What the server says. One that was started again has another address, and answers with a page.
async function read(response) {
  if (response.headers.get("Content-Type")?.startsWith("application/json")) return response.json();
  throw new Error(
    "The server of this page was restarted. Open the new address that it printed: your lesson," +
      " which this browser stores, is there too if the port is the same.",
  );
}

function reason(error) {
  if (error instanceof TypeError) return "The server of this page has stopped: start it again.";
  return error.message;
}
