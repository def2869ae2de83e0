import { redriveDead } from '../webhooks/deliveries.ts';
import { counted, UsageError, type Command } from './command.ts';
import { requireSameSchema } from './schema.ts';

export const deliveriesRedrive: Command = {
  verb: ['deliveries', 'redrive'],
  operands: [],
  options: { dead: { type: 'boolean', says: 'all that were given up, of all accounts' } },
  summary: 'Works off anew the webhook deliveries that were given up.',
  details: `They count as new from their first attempt on; a running worker takes them up within a second. What was applied
meanwhile by polling changes nothing. A single one is redriven by the mutation redriveDeliveries.`,
  async run({ options, open, print }) {
    if (options['dead'] !== true) throw new UsageError('deliveries redrive needs --dead');
    const { db } = await open();
    await requireSameSchema(db);
    await print(`${counted(await redriveDead(db, new Date()), 'delivery', 'deliveries')} redriven`);
    return 0;
  },
};
