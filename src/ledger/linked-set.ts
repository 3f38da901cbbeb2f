interface Node<T> {
  readonly value: T;
  previous: Node<T> | undefined;
  next: Node<T> | undefined;
}

/**
 * A set in the order of adding, whose first is found at once however many were removed before it: a Set's iterator steps over the
 * places that they leave.
 */
export class LinkedSet<T> implements Iterable<T> {
  readonly #nodes = new Map<T, Node<T>>();
  #first: Node<T> | undefined;
  #last: Node<T> | undefined;

  get size(): number {
    return this.#nodes.size;
  }

  get first(): T | undefined {
    return this.#first?.value;
  }

  /** Nothing where it is there already. */
  add(value: T): void {
    if (this.#nodes.has(value)) {
      return;
    }
    const node: Node<T> = { value, previous: this.#last, next: undefined };
    this.#nodes.set(value, node);
    if (this.#last === undefined) {
      this.#first = node;
    } else {
      this.#last.next = node;
    }
    this.#last = node;
  }

  /** Whether it was there. */
  delete(value: T): boolean {
    const node = this.#nodes.get(value);
    if (node === undefined) {
      return false;
    }
    this.#nodes.delete(value);
    const { previous, next } = node;
    if (previous === undefined) {
      this.#first = next;
    } else {
      previous.next = next;
    }
    if (next === undefined) {
      this.#last = previous;
    } else {
      next.previous = previous;
    }
    return true;
  }

  *[Symbol.iterator](): Generator<T, undefined> {
    for (let node = this.#first; node !== undefined; node = node.next) {
      yield node.value;
    }
  }
}
