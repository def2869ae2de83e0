import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeMerged } from '../../src/calls/conflict.ts';
import { IntegrationError, problem, type ProblemCode } from '../../src/errors.ts';
import { classifyQuickBooks } from '../../src/providers/quickbooksFaults.ts';
import { openSandbox, type Answer, type TestSandbox } from '../support/sandbox.ts';

const failure = (code: ProblemCode, retryable: boolean) =>
  new IntegrationError(problem(code, 'No.', new Date(0), { retryable }));
const stale = () => failure('CONFLICT', true);

/** An object with a version, and writes that are refused as often as `refusals` says, then taken. */
function versioned(refusals: unknown[] = []) {
  const log: string[] = [];
  let version = 0;
  return {
    log,
    read: async () => {
      log.push(`read ${version}`);
      return version;
    },
    write: async (merged: string, present: number) => {
      log.push(`write ${merged} over ${present}`);
      version++;
      if (refusals.length > 0) throw refusals.shift();
      return `version ${version}`;
    },
  };
}

describe('writeMerged', () => {
  it('reads, merges and writes once where nobody is in the way', async () => {
    const { log, ...object } = versioned();
    expect(await writeMerged({ ...object, merge: (present) => `a${present}` })).toBe('version 1');
    expect(log).toEqual(['read 0', 'write a0 over 0']);
  });

  it('reads anew and merges into what it then finds after a conflict', async () => {
    const { log, ...object } = versioned([stale()]);
    expect(await writeMerged({ ...object, merge: async (present) => `a${present}` })).toBe('version 2');
    expect(log).toEqual(['read 0', 'write a0 over 0', 'read 1', 'write a1 over 1']);
  });

  it.each([
    [undefined, 3],
    [1, 1],
    [5, 5],
  ])('with %s attempts writes %i times and throws the last conflict', async (attempts, writes) => {
    const refusals = Array.from({ length: 9 }, stale);
    const { log, ...object } = versioned([...refusals]);
    const change = { ...object, merge: () => 'a', ...(attempts !== undefined && { attempts }) };
    await expect(writeMerged(change)).rejects.toBe(refusals[writes - 1]);
    expect(log.filter((line) => line.startsWith('write'))).toHaveLength(writes);
  });

  it.each([
    ['a conflict that reading anew does not cure', failure('CONFLICT', false)],
    ['another failure that may be tried again', failure('PROVIDER_ERROR', true)],
    ['a time-out, after which the write may have been done', failure('TIMEOUT', true)],
    ['a defect', new TypeError('x is not a function')],
  ])('lets %s through at once', async (_, error) => {
    const { log, ...object } = versioned([error]);
    await expect(writeMerged({ ...object, merge: () => 'a' })).rejects.toBe(error);
    expect(log).toEqual(['read 0', 'write a over 0']);
  });

  it('writes nothing where nothing is left to change', async () => {
    const { log, ...object } = versioned();
    expect(await writeMerged({ ...object, merge: () => undefined })).toBeUndefined();
    expect(log).toEqual(['read 0']);
  });

  it('writes nothing more where the conflict was its own write, sent twice', async () => {
    const { log, ...object } = versioned([stale()]);
    const merge = (present: number) => (present === 0 ? 'a' : undefined);
    expect(await writeMerged({ ...object, merge })).toBeUndefined();
    expect(log).toEqual(['read 0', 'write a over 0', 'read 1']);
  });

  it('lets a conflict of the read, or of the merge itself, through', async () => {
    const error = stale();
    const fails = () => Promise.reject(error);
    const { log, ...object } = versioned();
    await expect(writeMerged({ ...object, read: fails, merge: () => 'a' })).rejects.toBe(error);
    await expect(writeMerged({ ...object, merge: fails })).rejects.toBe(error);
    expect(log).toEqual(['read 0']);
  });
});

describe('writeMerged against the emulated QuickBooks', () => {
  let sandbox: TestSandbox;
  let token: string;
  let path: string;

  beforeEach(async () => {
    sandbox = await openSandbox({ settings: { rateLimits: false } });
    token = (await sandbox.connect()).access_token;
    const made = await sandbox.post(token, 'customer', { DisplayName: 'Dock & Door', Notes: 'start' });
    path = `customer/${String(made.at('Customer.Id'))}`;
  });
  afterEach(() => sandbox.close());

  interface Customer {
    Id: string;
    SyncToken: string;
    Notes: string;
  }
  let conflicts = 0;
  const customerOf = ({ status, text, headers, at }: Answer): Customer => {
    const fault = classifyQuickBooks({ status, headers: Object.fromEntries(headers), body: text });
    if (!fault) return at('Customer') as Customer;
    const { code, message, retryable } = fault;
    if (code === 'CONFLICT') conflicts++;
    const cause = problem(code, message, new Date(0), { ...(retryable !== undefined && { retryable }) });
    throw new IntegrationError(cause, { provider: 'quickbooks', status, details: fault.details ?? [] });
  };
  const write = async (change: object) => customerOf(await sandbox.post(token, 'customer', change));
  const read = async () => customerOf(await sandbox.api(token, path));
  const append = (word: string) => ({
    read,
    write,
    merge: ({ Id, SyncToken, Notes }: Customer) =>
      Notes.split(' ').includes(word)
        ? undefined
        : { Id, SyncToken, sparse: true, Notes: `${Notes} ${word}` },
  });

  it('keeps the change of each of five writers who have all read the same version', async () => {
    const words = ['one', 'two', 'three', 'four', 'five'];
    let readers = 0;
    let release = () => {};
    const everybodyHasRead = new Promise<void>((resolve) => (release = resolve));
    conflicts = 0;
    await Promise.all(
      words.map((word) => {
        const change = append(word);
        return writeMerged({
          ...change,
          attempts: words.length,
          async read() {
            const present = await change.read();
            if (++readers === words.length) release();
            await everybodyHasRead;
            return present;
          },
        });
      }),
    );
    const { Notes, SyncToken } = await read();
    expect(Notes.split(' ').sort()).toEqual(['start', ...words].sort());
    expect(SyncToken).toBe('5');
    expect(conflicts).toBeGreaterThanOrEqual(4);
  });

  it('does not try again for a name that is taken', async () => {
    const other = await sandbox.post(token, 'customer', { DisplayName: 'Taken' });
    expect(other.status).toBe(200);
    let writes = 0;
    const change = {
      read,
      merge: ({ Id, SyncToken }: Customer) => ({ Id, SyncToken, sparse: true, DisplayName: 'Taken' }),
      write: (merged: object) => {
        writes++;
        return write(merged);
      },
    };
    await expect(writeMerged(change)).rejects.toMatchObject({
      code: 'CONFLICT',
      retryable: false,
      provider: 'quickbooks',
      status: 400,
      details: [{ code: '6240' }],
    });
    expect(writes).toBe(1);
  });
});
