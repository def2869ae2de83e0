/** The textbook's: as many calls at once as the limit, then one for each token that flows in. */
export function createTokenBucket(limit: number, windowMs: number) {
  const waiting: (() => void)[] = [];
  let tokens = limit;
  let filledAt = performance.now();
  let timer: NodeJS.Timeout | undefined;

  const serve = () => {
    const now = performance.now();
    tokens = Math.min(limit, tokens + ((now - filledAt) * limit) / windowMs);
    filledAt = now;
    for (; tokens >= 1 && waiting.length > 0; tokens--) waiting.shift()!();
    if (waiting.length === 0 || timer) return;
    timer = setTimeout(
      () => {
        timer = undefined;
        serve();
      },
      ((1 - tokens) * windowMs) / limit,
    );
  };
  return {
    take(work: () => void): void {
      waiting.push(work);
      serve();
    },
    waiting: () => waiting.length,
  };
}

/** The cheapest limiter there can be: a map of buckets that are filled when they are looked at. */
export function createLazyBuckets(limit: number, windowMs: number) {
  const buckets = new Map<string, { tokens: number; filledAt: number }>();
  return (key: string): boolean => {
    const now = performance.now();
    let bucket = buckets.get(key);
    if (!bucket) buckets.set(key, (bucket = { tokens: limit, filledAt: now }));
    bucket.tokens = Math.min(limit, bucket.tokens + ((now - bucket.filledAt) * limit) / windowMs);
    bucket.filledAt = now;
    if (bucket.tokens < 1) return false;
    bucket.tokens--;
    return true;
  };
}
