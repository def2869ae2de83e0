import type { Carrier } from './carrier.ts';
import type { Viewer } from './carrierDetails.ts';
import { errors } from './errors.ts';
import type { Pagination } from './paging.ts';
import type { ParameterList, Parameters } from './parameters.ts';
import type { MyCarrierPacketsSettings } from './settings.ts';

/** One request that is allowed and well-formed. */
export interface Call extends Viewer {
  userName: string;
  parameters: Parameters;
  settings: MyCarrierPacketsSettings;
  /** The provider's time, skew included. */
  now: number;
  /** Does `work` when carriers answer, which may be never. */
  whenAnswered(work: () => void): void;
}

/** One of the API's operations. All are POST, with all parameters in the query. */
export interface Operation {
  takes: ParameterList;
  /** The vendor's name of the model, `[]` after it for a list; absent where the vendor gives none. */
  returns?: string;
  /** The vendor declares no XML. */
  jsonOnly?: true;
  /** Throws an `ApiError`. */
  answer(call: Call): Answer;
}

export type Answer =
  | { body: unknown; pagination?: Pagination | undefined }
  /** A file, which is ASCII. */
  | { pdf: string };

/** The names that an operation gives to what names a carrier differ in their case only. */
export const byNumbers = { DOTNumber: 'int', docketNumber: 'text' } as const;
export const byAnyNumber = { DOTNumber: 'int', DocketNumber: 'text', IntrastateNumber: 'text' } as const;

/** Undefined when there is none, or when two numbers are not of the same carrier. Throws when no number was sent. */
export function findCarrier({ portal, parameters }: Call, takes: ParameterList): Carrier | undefined {
  const name = (pattern: RegExp) => Object.keys(takes).find((one) => pattern.test(one)) ?? '';
  const dotNumber = parameters.int(name(/^dotNumber$/i));
  const docketNumber = parameters.text(name(/^docketNumber$/i))?.toUpperCase();
  const intrastateNumber = parameters.text(name(/^intrastateNumber$/i))?.toUpperCase();
  if (dotNumber === undefined && docketNumber === undefined && intrastateNumber === undefined) {
    throw errors.refused('DOT number or docket number is required.');
  }
  return portal.carriers
    .list()
    .find(
      (one) =>
        (dotNumber ?? one.dotNumber) === one.dotNumber &&
        (docketNumber ?? one.docketNumber) === one.docketNumber &&
        (intrastateNumber ?? one.intrastateNumber) === one.intrastateNumber,
    );
}

export function getCarrier(call: Call, takes: ParameterList): Carrier {
  const found = findCarrier(call, takes);
  if (!found) throw errors.notFound('Carrier');
  return found;
}

/** For answers that are lists: without the carrier, there may be an empty one. */
export function listFor(call: Call, takes: ParameterList, item: (carrier: Carrier) => object): Answer {
  const forgives = call.settings.unknownCarrier === 'empty';
  const carrier = forgives ? findCarrier(call, takes) : getCarrier(call, takes);
  return { body: carrier ? [item(carrier)] : [] };
}
