// Asks one question at a time, always the newest: a moving slider must not flood the server.

const PAUSE = 25; // ms; changes that come together become one question

/**
 * @param ask (question) => Promise of an answer
 * @param onAnswer (answer, question)
 * @param onProblem (error), which is not called when a newer question is waiting
 */
export class Latest {
  constructor(ask, onAnswer, onProblem) {
    Object.assign(this, { ask, onAnswer, onProblem });
    this.waiting = null;
    this.timer = 0;
    this.busy = false;
    this.epoch = 0;
  }

  /** Ask soon; this question replaces one that is still waiting. */
  put(question) {
    this.waiting = question;
    clearTimeout(this.timer);
    if (!this.busy) this.timer = setTimeout(() => this.#run(), PAUSE);
  }

  /** Forget the question that is waiting, and ignore the answer to the one that was asked. */
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
