import type { Product } from '../product.ts';

/** Of a running product, as it says itself. */
export interface ProcessFigures {
  residentMiB: number;
  heapMiB: number;
  openFiles: number;
}

export async function figuresOf({ url }: Product): Promise<ProcessFigures> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const value = (name: string) => Number(new RegExp(`^${name} (\\S+)`, 'm').exec(text)![1]);
  return {
    residentMiB: value('process_resident_memory_bytes') / 2 ** 20,
    heapMiB: value('nodejs_heap_size_used_bytes') / 2 ** 20,
    openFiles: value('process_open_fds'),
  };
}

/** The least of each over a while: what remains once garbage was collected. */
export async function settledFigures(product: Product, withinMs: number): Promise<ProcessFigures> {
  const least = await figuresOf(product);
  for (const endsAt = Date.now() + withinMs; Date.now() < endsAt;) {
    await new Promise((resolve) => setTimeout(resolve, 250));
    const now = await figuresOf(product);
    for (const name of ['residentMiB', 'heapMiB', 'openFiles'] as const)
      least[name] = Math.min(least[name], now[name]);
  }
  return least;
}
