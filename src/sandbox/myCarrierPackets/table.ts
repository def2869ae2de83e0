/** Rows by key. What was written since the seed is kept apart, so that it alone outlives the process. */
export class Table<T> {
  readonly #rows = new Map<string, T>();
  readonly #written = new Map<string, T | null>();
  #seeded: ReadonlySet<string> = new Set();
  #changed: (() => void) | undefined;

  get(key: string): T | undefined {
    return this.#rows.get(key);
  }

  /** In the order in which the keys were first put. */
  list(): T[] {
    return [...this.#rows.values()];
  }

  get size(): number {
    return this.#rows.size;
  }

  put(key: string, row: T): T {
    this.#rows.set(key, row);
    this.#note(key, row);
    return row;
  }

  /** False when there was none. */
  remove(key: string): boolean {
    const existed = this.#rows.delete(key);
    if (existed) this.#note(key, null);
    return existed;
  }

  /** Ends the seed: puts back what `written` once gave, and from now on tells of every write. */
  keep(written: Readonly<Record<string, T | null>>, changed: () => void): void {
    this.#seeded = new Set(this.#rows.keys());
    for (const [key, row] of Object.entries(written)) {
      this.#written.set(key, row);
      if (row === null) this.#rows.delete(key);
      else this.#rows.set(key, row);
    }
    this.#changed = changed;
  }

  /** Rows written since the seed; null for those of the seed that were removed. */
  written(): Record<string, T | null> {
    return Object.fromEntries(this.#written);
  }

  #note(key: string, row: T | null): void {
    if (!this.#changed) return;
    if (row === null && !this.#seeded.has(key)) this.#written.delete(key);
    else this.#written.set(key, row);
    this.#changed();
  }
}
