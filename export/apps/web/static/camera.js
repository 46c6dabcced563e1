// The camera: one frame after another, as fast as the model answers.

export class Camera {
  #video;
  #stream = null;
  #facing = "environment"; // the camera on a phone's back

  constructor(video) {
    this.#video = video;
  }

  get running() {
    return this.#stream !== null;
  }

  // Starts the stream; throws an error with a readable reason if it cannot.
  async start() {
    if (!navigator.mediaDevices) throw new Error(SECURE);
    const wanted = { video: { facingMode: this.#facing, width: { ideal: 640 } } };
    try {
      this.#stream = await navigator.mediaDevices.getUserMedia(wanted);
    } catch (error) {
      throw new Error(REASONS[error.name] ?? `The camera cannot be used: ${error.message}`);
    }
    this.#video.srcObject = this.#stream;
    await this.#video.play();
  }

  stop() {
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#stream = null;
    this.#video.srcObject = null;
  }

  async turn() {
    this.#facing = this.#facing === "user" ? "environment" : "user";
    this.stop();
    await this.start();
  }

  // Whether there is another camera; known only while one runs.
  async others() {
    const devices = await navigator.mediaDevices.enumerateDevices();
    return devices.filter((device) => device.kind === "videoinput").length > 1;
  }

  // The next frame that the screen would show, as an ImageBitmap; null once it was stopped.
  async frame() {
    await new Promise(requestAnimationFrame);
    const ended = this.#stream?.getVideoTracks().some((track) => track.readyState === "ended");
    if (ended) throw new Error("The camera has stopped.");
    return this.running && this.#video.readyState > 1 ? createImageBitmap(this.#video) : null;
  }
}

const SECURE =
  "The live camera needs https, or localhost. On a phone, “Choose a picture” can also take one.";
const REASONS = {
  NotAllowedError: "Camera access was denied; allow it in the browser's settings for this page.",
  NotFoundError: "There is no camera.",
  NotReadableError: "Another program is using the camera.",
};
