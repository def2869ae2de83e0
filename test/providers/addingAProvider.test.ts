import { describe, expect, it } from 'vitest';
import { movedTo, readGuide } from '../support/guide.ts';

const folder = new URL('../support/parcelwise/', import.meta.url);

describe('docs/adding-a-provider.md', () => {
  it('is the file that the contract test runs; `npm test -- test/providers/addingAProvider.test.ts -u` writes that anew', async () => {
    const { file } = await readGuide();
    await expect(await movedTo(folder, file)).toMatchFileSnapshot('../support/parcelwise/provider.ts');
  });
});
