// One question at a time, always the newest: a moved slider floods neither the server nor the eye.

const PAUSE = 25; // ms, so that changes of one moment are one question

/**
 * @param ask (question) => Promise of an answer
 * @param onAnswer (answer, question) for answers that no newer answer has overtaken
 * @param onProblem (error)
 */
export class Latest {
  constructor(ask, onAnswer, onProblem) {
    Object.assign(this, { ask, onAnswer, onProblem });
    this.waiting = null;
    this.timer = 0;
    this.busy = false;
    this.epoch = 0;
  }

  /** Ask soon; a question that still waits is replaced. */
  put(question) {
    this.waiting = question;
    clearTimeout(this.timer);
    if (!this.busy) this.timer = setTimeout(() => this.#run(), PAUSE);
  }

  /** Drop what waits and what is on its way. */
  drop() {
    this.waiting = null;
    this.epoch += 1;
    clearTimeout(this.timer);
  }

  async #run() {
    const question = this.waiting;
    const { epoch } = this;
    this.waiting = null;
    this.busy = true;
    try {
      const answer = await this.ask(question);
      if (epoch === this.epoch) this.onAnswer(answer, question);
    } catch (error) {
      if (epoch === this.epoch) this.#failed(error, question);
    }
    this.busy = false;
    if (this.waiting) this.#run();
  }

  #failed(error, question) {
    if (this.waiting) return;
    this.onProblem(error);
    if (!error.retryAfter) return;
    this.timer = setTimeout(() => this.put(question), error.retryAfter * 1000);
  }
}
