import { masked } from '../../../src/providers/masking.ts';
import { myCarrierPackets } from '../../../src/providers/myCarrierPackets.ts';
import {
  canonical,
  differing,
  misbehaviours,
  oneOf,
  storedOf,
  type Followed,
  type Surroundings,
} from './followed.ts';

const secret = 'the secret of the portal';

/** The carriers of a customer: facts change, which only polls find, and packets are completed, which webhooks tell. */
export function followedMyCarrierPackets(): Followed {
  /** Carriers without a packet, each completed once. */
  let fresh: number[] | undefined;
  let carriers: number[] = [];
  const complete = async (at: Surroundings, rule: object) => {
    fresh ??= await withoutPacket(at);
    const dotNumber = fresh.pop();
    if (dotNumber === undefined) return;
    await at.admin('POST', 'mycarrierpackets/delivery-rules', {
      ...{ eventType: 'carrier.packet.completed', ...rule },
    });
    await at.admin('POST', 'mycarrierpackets/packets', { dotNumber });
  };
  const withoutPacket = async ({ db }: Surroundings) => {
    const { rows } = await db.query<{ external_id: string }>(
      "select external_id from external_records where resource = 'CompletedPacket'",
    );
    const done = new Set(rows.map((row) => Number(row.external_id)));
    return carriers.filter((dotNumber) => !done.has(dotNumber));
  };
  const read = async (at: Surroundings, operation: string, search: Record<string, string>, token: string) => {
    const query = new URLSearchParams(search).toString();
    const answer = await fetch(`${at.sandbox.myCarrierPackets.apiUrl}/api/v1/Carrier/${operation}?${query}`, {
      ...{ method: 'POST', headers: { authorization: `Bearer ${token}`, accept: 'application/json' } },
    });
    if (!answer.ok) throw new Error(`${operation}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as object;
  };
  return {
    integrationId: 'mycarrierpackets',
    path: '/api/v1/Carrier',
    settings: ({ myCarrierPackets: { tokenUrl, apiUrl } }) => ({
      MYCARRIERPACKETS_TOKEN_URL: tokenUrl,
      MYCARRIERPACKETS_API_URL: apiUrl,
    }),
    async connect(at) {
      await at.admin('PUT', 'mycarrierpackets/settings', { retryScale: 0.001 });
      const { username, password } = at.sandbox.myCarrierPackets;
      const { data } = await at.product().graphql(
        `mutation ($credentials: ConnectCredentialsInput) {
          connect(input: { integrationId: "mycarrierpackets", credentials: $credentials }) {
            connection { id } problem { code } } }`,
        { credentials: { username, password, webhookSecret: secret } },
      );
      await at.admin('POST', 'mycarrierpackets/subscriptions', {
        url: `${at.address}/webhooks/mycarrierpackets/${data.connect.connection.id}`,
        secret,
      });
      const known = (await at.admin('GET', 'mycarrierpackets/carriers')).carriers as { dotNumber: number }[];
      carriers = known.map(({ dotNumber }) => dotNumber);
    },
    async change(at) {
      const set = { powerUnits: 1 + Math.floor(at.random() * 900), street: `${at.count()} Dock Street` };
      await at.admin('POST', 'mycarrierpackets/carriers', { dotNumber: oneOf(at.random, carriers), set });
    },
    loseOne: (at) => complete(at, { lost: true }),
    misbehave: (at) => complete(at, oneOf(at.random, misbehaviours)),
    async lost(at) {
      const { deliveries } = await at.admin('GET', 'mycarrierpackets/deliveries');
      return (deliveries as { state: string }[]).filter(({ state }) => state !== 'delivered').length;
    },
    async differences(at) {
      const { tokenUrl, username, password } = at.sandbox.myCarrierPackets;
      const signedIn = await fetch(tokenUrl, {
        method: 'POST',
        body: new URLSearchParams({ grant_type: 'password', username, password }),
      });
      const { access_token: token } = (await signedIn.json()) as { access_token: string };
      const stored = await storedOf(at, 'mycarrierpackets', ['Carrier']);
      const there = new Map<string, string>();
      for (const key of stored.keys()) {
        const carrier = await read(at, 'GetCarrierData', { DOTNumber: key.replace('Carrier ', '') }, token);
        there.set(key, canonical(masked(carrier, myCarrierPackets.masked!.Carrier)));
      }
      const wrong = differing(there, stored);
      const packets = await storedOf(at, 'mycarrierpackets', ['CompletedPacket']);
      // As far back as it is first read.
      const from = new Date(Date.now() - 29 * 86_400_000).toISOString().slice(0, 19);
      const range = { fromDate: from, toDate: new Date().toISOString().slice(0, 19) };
      const completed = (await read(at, 'CompletedPackets', range, token)) as object[];
      const missing = completed.filter((one) => {
        const mine = canonical(masked(one, myCarrierPackets.masked!.CompletedPacket));
        return ![...packets.values()].includes(mine);
      });
      return [...wrong, ...missing.map((one) => `CompletedPacket ${JSON.stringify(one).slice(0, 80)}`)];
    },
  };
}
