import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { BadInput, check, read } from '../admin.ts';
import { vinStatuses, type Carrier } from './carrier.ts';
import { deliveryRule } from './deliveries.ts';
import {
  answerVin,
  changeCarrier,
  completePacket,
  eventTypes,
  reportIncident,
  requestVin,
  retractIncident,
  signerOf,
  updateIncident,
  verifyUser,
  type CarrierFacts,
} from './happenings.ts';
import type { MyCarrierPacketsSandbox } from './myCarrierPackets.ts';
import { ruleNames } from './risk.ts';
import { myCarrierPacketsSettings } from './settings.ts';
import { day } from './time.ts';
import { hashOf } from './tokens.ts';

const americanDay = z.string().regex(/^\d{2}\/\d{2}\/\d{4}$/, 'MM/DD/YYYY is needed');
const place = z.tuple([z.string(), z.string()]);
const ofCarrier = z.strictObject({
  dotNumber: z.int(),
  /** Default: the first customer. */
  customerId: z.int().optional(),
});
const carrierFacts = z
  .strictObject({
    legalName: z.string(),
    dbaName: z.string().nullable(),
    street: z.string(),
    city: z.string(),
    state: z.string(),
    zipCode: z.string(),
    phone: z.string(),
    email: z.string(),
    owner: z.string(),
    powerUnits: z.int(),
    drivers: z.int(),
    authority: z.enum(['Active', 'Inactive']),
    outOfService: z.boolean(),
    safetyRating: z.enum(['Satisfactory', 'Conditional', 'None']),
    infractions: z.array(z.enum(ruleNames)),
    insurance: z
      .strictObject({
        insurer: z.string(),
        policyNumber: z.string(),
        effectiveOn: americanDay,
        expiresOn: americanDay,
        cancelledOn: americanDay.nullable(),
        liabilityLimit: z.int(),
        cargoLimit: z.int(),
        cargoDeductible: z.int(),
      })
      .partial(),
    payment: z
      .strictObject({
        ein: z.string().nullable(),
        ssn: z.string().nullable(),
        bank: z
          .strictObject({
            name: z.string(),
            routingNumber: z.string(),
            accountNumber: z.string(),
            type: z.enum(['Checking', 'Savings']),
          })
          .nullable(),
        factoringCompanyId: z.int().nullable(),
      })
      .partial(),
  })
  .partial();
const incidentFacts = z
  .strictObject({
    incidentOn: americanDay,
    origin: place,
    destination: place,
    reportedByCompany: z.string(),
    carrierEmails: z.string(),
    types: z.array(z.string()),
    comments: z.array(
      z.strictObject({
        by: z.enum(['ReportingParty', 'RespondingParty']),
        name: z.string(),
        at: z.number(),
        text: z.string(),
      }),
    ),
  })
  .partial();
const subscription = z.strictObject({
  customerId: z.int().optional(),
  url: z.url({ protocol: /^https?$/ }),
  secret: z.string().min(1),
  events: z
    .array(z.enum(eventTypes))
    .min(1)
    .default([...eventTypes]),
});

/** `/_admin/mycarrierpackets`: what customers, carriers and operators of the portal would do. */
export function myCarrierPacketsAdmin(app: FastifyInstance, sandbox: MyCarrierPacketsSandbox): void {
  const { portal, tokens, deliveries } = sandbox;
  const customerOf = (customerId = sandbox.customerId) => {
    const found = portal.customers().find((one) => one.customerId === customerId);
    if (!found) throw new BadInput(`customerId: no customer ${customerId}`);
    return found;
  };
  const carrierOf = (dotNumber: number): Carrier => {
    const found = portal.findCarrier(dotNumber);
    if (!found) throw new BadInput(`dotNumber: no carrier ${dotNumber}`);
    return found;
  };
  const userOf = (userName: string) => {
    const found = portal.findUser(userName);
    if (!found) throw new BadInput(`userName: no user ${userName}`);
    return found;
  };
  const rowOf = <T>(found: T | undefined, what: string): T => {
    if (found === undefined) throw new BadInput(`id: no such ${what}`);
    return found;
  };
  const idIn = (params: unknown) => (params as { id: string }).id;

  app.get('/settings', () => sandbox.settings());
  app.put('/settings', (request) => {
    // What is not named stays as it is.
    const changed = read(request, z.record(z.string(), z.unknown()));
    sandbox.applySettings(check({ ...sandbox.settings(), ...changed }, myCarrierPacketsSettings));
    return sandbox.settings();
  });
  app.delete('/settings', () => {
    sandbox.applySettings(myCarrierPacketsSettings.parse({}));
    return sandbox.settings();
  });

  app.get('/users', () => ({
    users: portal.users
      .list()
      .map(({ userName, customerId, disabled }) => ({ userName, customerId, disabled })),
  }));
  app.put('/users', (request) => {
    const shape = z.strictObject({
      userName: z.string(),
      password: z.string().min(1).optional(),
      disabled: z.boolean().optional(),
      /** Neither a new password nor the end of an account ends tokens by itself. */
      revokeTokens: z.boolean().default(false),
    });
    const { userName, password, disabled, revokeTokens } = read(request, shape);
    const user = userOf(userName);
    portal.users.put(user.userName.toLowerCase(), {
      ...user,
      ...(password !== undefined && { passwordHash: hashOf(password) }),
      ...(disabled !== undefined && { disabled }),
    });
    return { revoked: revokeTokens ? tokens.revoke(user.userName) : 0 };
  });
  const someUser = z.strictObject({ userName: z.string().optional() });
  app.post('/tokens/revoke', (request) => {
    const { userName } = read(request, someUser);
    return { revoked: tokens.revoke(userName === undefined ? undefined : userOf(userName).userName) };
  });
  app.post('/access-tokens/expire', (request) => {
    const { userName } = read(request, someUser);
    return {
      expired: tokens.expireAccessTokens(userName === undefined ? undefined : userOf(userName).userName),
    };
  });

  app.get('/carriers', () => ({
    carriers: portal.carriers
      .list()
      .map(({ dotNumber, docketNumber, legalName }) => ({ dotNumber, docketNumber, legalName })),
  }));
  app.post('/carriers', (request) => {
    const { dotNumber, set } = read(request, z.strictObject({ dotNumber: z.int(), set: carrierFacts }));
    return { changes: changeCarrier(portal, carrierOf(dotNumber), defined(set) as CarrierFacts) };
  });
  app.post('/packets', (request) => {
    const shape = ofCarrier.extend({ isSigned: z.boolean().default(true) });
    const { dotNumber, customerId, isSigned } = read(request, shape);
    return completePacket(portal, customerOf(customerId).customerId, carrierOf(dotNumber), isSigned);
  });
  app.post('/incident-reports', (request) => {
    const shape = ofCarrier.extend({ set: incidentFacts.default({}) });
    const { dotNumber, customerId, set } = read(request, shape);
    const carrier = carrierOf(dotNumber);
    const { companyName } = customerOf(customerId);
    const usual = {
      incidentOn: day(portal.now()),
      origin: [carrier.city, carrier.state] as const,
      destination: ['Omaha', 'NE'] as const,
      reportedByCompany: companyName,
      carrierEmails: carrier.email,
      types: ['Pickup or Delivery Service Failure'],
      comments: [],
    };
    return reportIncident(portal, carrier, { ...usual, ...defined(set) }, 'Alma Okafor');
  });
  const reportOf = (params: unknown) => {
    const found = portal.incidents.get(idIn(params));
    return rowOf(found?.retracted ? undefined : found, 'incident report');
  };
  app.put('/incident-reports/:id', (request) => {
    const set = read(request, incidentFacts);
    return updateIncident(portal, reportOf(request.params), defined(set), 'Alma Okafor');
  });
  app.delete('/incident-reports/:id', (request) =>
    retractIncident(portal, reportOf(request.params), 'Alma Okafor'),
  );
  app.post('/vin-verifications', (request) => {
    const shape = ofCarrier.extend({
      /** Of a request that was made before; default: one is made. */
      id: z.int().optional(),
      status: z.enum(vinStatuses).default('VINBelongsToCarrier'),
      vin: z.string().nullable().optional(),
      otherDotNumber: z.int().nullable().default(null),
    });
    const { dotNumber, customerId, id, status, vin, otherDotNumber } = read(request, shape);
    const carrier = carrierOf(dotNumber);
    const facts = { customerId: customerOf(customerId).customerId, dotNumber, sentTo: carrier.cellPhone };
    const asked =
      id === undefined
        ? requestVin(portal, { ...facts, requestedBy: sandbox.username })
        : rowOf(portal.vins.get(String(id)), 'VIN verification request');
    return answerVin(portal, asked, { status, vin: vin ?? carrier.vins[0] ?? null, otherDotNumber });
  });
  app.post('/user-verifications', (request) => {
    const shape = ofCarrier.extend({
      firstName: z.string().optional(),
      lastName: z.string().optional(),
      title: z.string().optional(),
      email: z.string().optional(),
      verificationStatus: z.enum(['Pending', 'Verified', 'Denied', 'FollowUp']).default('Verified'),
    });
    const { dotNumber, customerId, ...person } = read(request, shape);
    const carrier = carrierOf(dotNumber);
    const contact = { ...signerOf(carrier), ...defined(person) };
    return verifyUser(portal, customerOf(customerId).customerId, carrier, contact);
  });
  app.put('/factoring-companies/:id', (request) => {
    const before = rowOf(portal.factoring.get(idIn(request.params)), 'factoring company');
    const shape = z.strictObject({ name: z.string(), email: z.string(), phone: z.string() }).partial();
    const changed = { ...defined(read(request, shape)), updatedAt: portal.now() };
    return portal.factoring.put(String(before.id), { ...before, ...changed });
  });

  app.get('/subscriptions', () => ({
    subscriptions: portal.subscriptions.list().map(({ secret: _secret, ...rest }) => rest),
  }));
  app.post('/subscriptions', (request, reply) => {
    const given = read(request, subscription);
    const id = portal.nextId();
    const { customerId } = customerOf(given.customerId);
    portal.subscriptions.put(String(id), { ...given, id, customerId });
    return reply.code(201).send({ id });
  });
  app.put('/subscriptions/:id', (request) => {
    const before = rowOf(portal.subscriptions.get(idIn(request.params)), 'subscription');
    // Without the defaults: what is not named stays as it is.
    const { customerId: _customerId, ...shape } = subscription.shape;
    const changed = read(request, z.strictObject({ ...shape, events: shape.events.unwrap() }).partial());
    portal.subscriptions.put(String(before.id), { ...before, ...defined(changed) });
    return { id: before.id };
  });
  app.delete('/subscriptions/:id', (request, reply) => {
    rowOf(portal.subscriptions.get(idIn(request.params)), 'subscription');
    portal.subscriptions.remove(idIn(request.params));
    return reply.code(204).send();
  });
  app.get('/deliveries', () => ({ deliveries: deliveries.list() }));
  app.post('/deliveries/:id/resend', (request, reply) => {
    if (!deliveries.resend(Number(idIn(request.params)))) throw new BadInput('id: no such delivery');
    return reply.code(202).send({});
  });
  app.get('/delivery-rules', () => ({ rules: deliveries.rules() }));
  app.post('/delivery-rules', (request, reply) => {
    deliveries.addRule(read(request, deliveryRule));
    return reply.code(201).send({ rules: deliveries.rules() });
  });
  app.delete('/delivery-rules', (_request, reply) => {
    deliveries.clearRules();
    return reply.code(204).send();
  });
}

/** Without the members that are undefined. */
function defined<T extends object>(value: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as never;
}
