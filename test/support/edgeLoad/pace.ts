/** So many a second, whether those before are done or not. */
export function pace(perSecond: number, once: () => void): () => void {
  let from = performance.now();
  let done = 0;
  const timer = setInterval(() => {
    const due = ((performance.now() - from) / 1_000) * perSecond;
    // A driver that was held up does not make up for more than a second: that would be another load.
    if (due - done > perSecond + 1) {
      from = performance.now();
      done = 0;
      return;
    }
    for (; done < due; done++) once();
  }, 10);
  return () => clearInterval(timer);
}

export function percentiles(values: readonly number[]): {
  count: number;
  p50: number;
  p95: number;
  p99: number;
  max: number;
} {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) =>
    Math.round(10 * (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN)) / 10;
  return { count: sorted.length, p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) };
}
