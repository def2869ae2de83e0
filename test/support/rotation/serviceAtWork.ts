/**
 * A service at work while keys rotate: `serviceAtWork.ts <json>` reads tokens, and now and then writes a newer one,
 * until it is told to stop; then it prints what it saw. Each token says which account and version it is.
 */
import { createInterface } from 'node:readline';
import { systemClock } from '../../../src/clock.ts';
import { openDatabase } from '../../../src/db/database.ts';
import { createAccountKeys, sealedPlace } from '../../../src/oauth/accountKeys.ts';
import { parseMasterKeys } from '../../../src/oauth/encryption.ts';
import { addAccounts, plaintextOf } from '../sealedAccounts.ts';

const { databaseUrl, encryptionKeys, accounts, pauseMs, name } = JSON.parse(process.argv[2]!) as {
  databaseUrl: string;
  encryptionKeys: string;
  accounts: number;
  pauseMs: number;
  name: string;
};
const { db, close } = await openDatabase({ databaseUrl, dataDir: '', poolSize: 2 });
const keys = createAccountKeys(parseMasterKeys(encryptionKeys), systemClock);
const seen = { reads: 0, writes: 0, added: 0, failures: [] as string[] };
const column = 'access_token_encrypted';

let stopped = false;
createInterface({ input: process.stdin }).on('line', () => (stopped = true));
// Not to outlive a test run that was interrupted.
process.stdin.on('end', () => process.exit());

async function once(): Promise<void> {
  const accountId = `account-${Math.floor(Math.random() * accounts)}`;
  const row = await db
    .selectFrom('oauth_tokens')
    .selectAll()
    .where('account_id', '=', accountId)
    .executeTakeFirstOrThrow();
  const place = sealedPlace(
    { accountId, id: row.connection_id, integrationId: row.provider },
    'oauth_tokens',
    column,
  );
  const token = (await keys.opener(db, accountId))(place, row[column]);
  if (token !== plaintextOf(column, accountId, row.version))
    throw new Error(`${accountId} has version ${row.version} and holds another`);
  seen.reads += 1;
  if (Math.random() > 0.25) return;
  const seal = await keys.sealer(db, accountId);
  const version = row.version + 1;
  const { numUpdatedRows } = await db
    .updateTable('oauth_tokens')
    .set({ [column]: seal(place, plaintextOf(column, accountId, version)), version })
    .where('account_id', '=', accountId)
    .where('version', '=', row.version)
    .executeTakeFirst();
  seen.writes += Number(numUpdatedRows);
  if (Math.random() > 0.02) return;
  seen.added += 1;
  await addAccounts(db, encryptionKeys, [`${name}-${seen.added}`], { tokensOnly: true });
}

process.stdout.write('at work\n');
await Promise.all(
  Array.from({ length: 2 }, async () => {
    while (!stopped) {
      await once().catch((error: unknown) => seen.failures.push(String(error)));
      await systemClock.sleep(pauseMs);
    }
  }),
);
process.stdout.write(`${JSON.stringify({ ...seen, failures: seen.failures.slice(0, 5) })}\n`);
await close();
process.exit(0);
