import { grab } from './image.js';

/** Hands on what the camera shows, one frame after the other, until it is stopped. */
export class Camera {
  #stream = null;

  constructor(video, button, look, complain) {
    Object.assign(this, { video, button, look, complain });
    button.addEventListener('click', () => (this.#stream ? this.stop() : this.start()));
  }

  async start() {
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' }, audio: false });
      this.#stream = stream;
      this.video.srcObject = stream;
      this.video.hidden = false;
      this.button.textContent = 'Stop the camera';
      await this.video.play();
      while (this.#stream === stream) {
        const { videoWidth, videoHeight } = this.video;
        if (videoWidth) await this.look(grab(this.video, videoWidth, videoHeight));
        await new Promise((resolve) => { setTimeout(resolve, 30); });
      }
    } catch (error) {
      this.stop();
      this.complain(`The camera cannot be used: ${error.message}`);
    }
  }

  stop() {
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#stream = null;
    this.video.srcObject = null;
    this.video.hidden = true;
    this.button.textContent = 'Use the camera';
  }
}
