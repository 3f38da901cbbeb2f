/** Work to be done soon, once per key however often it is asked for; one piece at a time, never inside a request. */
export class WorkQueue {
  readonly #work = new Map<string, () => void>();
  readonly #waiting: (() => void)[] = [];
  #scheduled: NodeJS.Immediate | undefined;
  #stopped = false;

  add(key: string, work: () => void): void {
    if (this.#stopped) {
      return;
    }
    this.#work.set(key, work);
    this.#scheduled ??= setImmediate(() => this.#run());
  }

  /** Resolves when nothing is left to do. */
  settled(): Promise<void> {
    return this.#work.size === 0 ? Promise.resolve() : new Promise((resolve) => this.#waiting.push(resolve));
  }

  stop(): void {
    this.#stopped = true;
    this.#work.clear();
    clearImmediate(this.#scheduled);
    this.#release();
  }

  #run(): void {
    this.#scheduled = undefined;
    const [next] = this.#work;
    if (next !== undefined) {
      this.#work.delete(next[0]);
      next[1]();
    }
    if (this.#work.size === 0) {
      this.#release();
    } else {
      this.#scheduled ??= setImmediate(() => this.#run());
    }
  }

  #release(): void {
    for (const resolve of this.#waiting.splice(0)) {
      resolve();
    }
  }
}
