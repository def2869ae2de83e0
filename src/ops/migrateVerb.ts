import { migrate } from '../db/migrate.ts';
import { cureOfNoWall, currentUser } from '../db/secondWall.ts';
import type { Command } from './command.ts';

export const migrateVerb: Command = {
  verb: ['migrate'],
  operands: [],
  options: {},
  summary: 'Brings the database up to this version.',
  details: `The service does the same at its start, row-level security included. Any number of processes may do it at one time. There is no way back.`,
  async run({ open, print }) {
    const database = await open();
    const { applied } = await migrate(database);
    const raised = await database.raiseWall();
    for (const name of applied) await print(`applied ${name}`);
    await print('The database is up to date.');
    if (!raised && database.kind === 'postgres')
      await print(
        `Row-level security is off until an administrator runs: ${cureOfNoWall(await currentUser(database.db))}`,
      );
    return 0;
  },
};
