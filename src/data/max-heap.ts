/** A queue that gives the first item of an order: adding and taking cost the logarithm of its length. */
export class MaxHeap<T> {
  private readonly isBefore: (a: T, b: T) => boolean;
  /** A binary tree by rows: below i are 2i + 1 and 2i + 2, neither of which is before i. */
  private readonly items: T[] = [];

  constructor(isBefore: (a: T, b: T) => boolean) {
    this.isBefore = isBefore;
  }

  push(item: T): void {
    let at = this.items.push(item) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!this.isBefore(item, this.items[above])) break;
      this.items[at] = this.items[above];
      at = above;
    }
    this.items[at] = item;
  }

  pop(): T | undefined {
    const first = this.items[0];
    const last = this.items.pop();
    if (last === undefined || this.items.length === 0) return first;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below + 1 < this.items.length && this.isBefore(this.items[below + 1], this.items[below])) below++;
      if (below >= this.items.length || !this.isBefore(this.items[below], last)) break;
      this.items[at] = this.items[below];
      at = below;
    }
    this.items[at] = last;
    return first;
  }
}
