import { answerVin, addListing, completePacket, requestVin, signerOf, verifyUser } from './happenings.ts';
import { errors } from './errors.ts';
import { byAnyNumber, getCarrier, type Call, type Operation } from './operation.ts';
import { keyOf } from './portal.ts';
import { localTime } from './time.ts';

const lowerNumbers = { dotNumber: 'int', docketNumber: 'text' } as const;

/** Operations that ask for something. What the vendor leaves untyped answers with a message. */
export const requests: Readonly<Record<string, Operation>> = {
  EmailPacketInvitation: {
    takes: {
      carrierEmail: 'text!',
      ...lowerNumbers,
      userName: 'text',
      sendConfirmationEmail: 'flag',
      notificationEmails: 'text',
    },
    jsonOnly: true,
    answer: (call) => {
      const { portal, customerId, parameters } = call;
      const sentTo = emailOf(call, 'carrierEmail');
      const others = (parameters.text('notificationEmails') ?? '').split(',').filter((it) => it.trim());
      if (!others.every(isEmail))
        throw errors.refused('notificationEmails is not a list of email addresses.');
      const { dotNumber } = getCarrier(call, lowerNumbers);
      const id = portal.nextId();
      const sentBy = parameters.text('userName') ?? call.userName;
      portal.invitations.put(String(id), { id, customerId, dotNumber, sentTo, sentBy, sentAt: call.now });
      call.whenAnswered(() => completePacket(portal, customerId, portal.findCarrier(dotNumber)!));
      return { body: { Message: 'Packet invitation was sent.' } };
    },
  },
  RequestUserVerification: {
    takes: { userVerificationEmail: 'text!', ...lowerNumbers, userName: 'text' },
    jsonOnly: true,
    answer: (call) => {
      const { portal, customerId } = call;
      const email = emailOf(call, 'userVerificationEmail');
      const { dotNumber } = getCarrier(call, lowerNumbers);
      const id = portal.nextId();
      portal.userVerifications.put(String(id), { id, customerId, dotNumber, email, requestedAt: call.now });
      call.whenAnswered(() => {
        const carrier = portal.findCarrier(dotNumber)!;
        const known = carrier.contacts?.find((contact) => contact.email === email);
        const contact = { ...(known ?? { ...signerOf(carrier), email, authorizedForPackets: false }) };
        verifyUser(portal, customerId, carrier, { ...contact, verificationStatus: 'Verified' });
      });
      return { body: { Message: 'User verification request was sent.' } };
    },
  },
  RequestVINVerification: {
    takes: {
      deliveryOption: 'int!',
      vinVerificationEmail: 'text',
      vinVerificationPhoneNumber: 'text',
      ...lowerNumbers,
      userName: 'text',
      outputVINVerificationRequestID: 'flag',
    },
    returns: 'RequestVINVerificationOutput',
    jsonOnly: true,
    answer: (call) => {
      const { portal, customerId, parameters } = call;
      if (parameters.int('deliveryOption') !== 2) {
        throw errors.refused('Only delivery option PhoneNumber (2) is supported.');
      }
      const sentTo = parameters.text('vinVerificationPhoneNumber');
      if ((sentTo?.replace(/\D/g, '').length ?? 0) < 10) {
        throw errors.refused('vinVerificationPhoneNumber is not a phone number.');
      }
      const carrier = getCarrier(call, lowerNumbers);
      const { dotNumber } = carrier;
      const requestedBy = parameters.text('userName') ?? call.userName;
      const request = requestVin(portal, { customerId, dotNumber, sentTo: sentTo!, requestedBy });
      call.whenAnswered(() =>
        answerVin(portal, request, {
          status: 'VINBelongsToCarrier',
          vin: carrier.vins[0] ?? null,
          otherDotNumber: null,
        }),
      );
      const Message = 'VIN verification request was sent.';
      // A text is JSON, too.
      if (!parameters.flag('outputVINVerificationRequestID')) return { body: Message };
      return { body: { VinVerificationRequestID: request.id, Message } };
    },
  },
  RequestMonitoring: {
    takes: byAnyNumber,
    returns: 'RequestMonitoringOutput',
    answer: (call) => {
      const carrier = getCarrier(call, byAnyNumber);
      const before = call.portal.monitored.get(keyOf(call.customerId, carrier.dotNumber));
      const listing = before ?? addListing(call.portal, 'monitored', call.customerId, carrier, call.userName);
      return {
        body: {
          MonitoringID: listing.id,
          RequestDate: localTime(listing.createdAt, call.zoneOffsetMinutes),
        },
      };
    },
  },
  CancelMonitoring: {
    takes: byAnyNumber,
    returns: 'CancelMonitoringOutput',
    answer: (call) => {
      const key = keyOf(call.customerId, getCarrier(call, byAnyNumber).dotNumber);
      const listing = call.portal.monitored.get(key);
      if (!listing) throw errors.refused('Carrier is not being monitored.');
      call.portal.monitored.remove(key);
      return {
        body: { MonitoringID: listing.id, CancelDate: localTime(call.now, call.zoneOffsetMinutes) },
      };
    },
  },
  BlockCarrier: {
    takes: byAnyNumber,
    returns: 'BlockCarrierOutput',
    // A refusal is a success that says so.
    answer: (call) => {
      const carrier = getCarrier(call, byAnyNumber);
      if (call.portal.blocked.get(keyOf(call.customerId, carrier.dotNumber))) {
        return { body: { Result: false, Message: 'Carrier is already blocked.' } };
      }
      addListing(call.portal, 'blocked', call.customerId, carrier, call.userName);
      return { body: { Result: true, Message: 'Carrier was blocked.' } };
    },
  },
  UnblockCarrier: {
    takes: byAnyNumber,
    returns: 'UnblockCarrierOutput',
    answer: (call) => {
      const carrier = getCarrier(call, byAnyNumber);
      const wasBlocked = call.portal.blocked.remove(keyOf(call.customerId, carrier.dotNumber));
      const Message = wasBlocked ? 'Carrier was unblocked.' : 'Carrier is not blocked.';
      return { body: { Result: wasBlocked, Message } };
    },
  },
};

const isEmail = (text: string) => /^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(text.trim());

function emailOf({ parameters }: Call, name: string): string {
  const email = parameters.text(name);
  if (email === undefined || !isEmail(email)) throw errors.refused(`${name} is not an email address.`);
  return email;
}
