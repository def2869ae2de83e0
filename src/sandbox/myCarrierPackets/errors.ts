/** A refusal as ASP.NET Web API shapes it: `Message`, and for the framework's own ones what it found wrong. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;
  readonly body: ErrorBody;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, body: ErrorBody, headers: Record<string, string> = {}) {
    super(body.Message);
    this.status = status;
    this.body = body;
    this.headers = headers;
  }
}

export interface ErrorBody {
  Message: string;
  MessageDetail?: string;
  /** By parameter. */
  ModelState?: Record<string, string[]>;
}

const noResource = (url: string) => `No HTTP resource was found that matches the request URI '${url}'.`;

export const errors = {
  unauthorized: () =>
    new ApiError(
      401,
      { Message: 'Authorization has been denied for this request.' },
      { 'www-authenticate': 'Bearer' },
    ),
  forbidden: () =>
    new ApiError(403, { Message: 'Your account does not have permission to use this resource.' }),
  method: (method: string) =>
    new ApiError(
      405,
      { Message: `The requested resource does not support http method '${method}'.` },
      { allow: 'POST' },
    ),
  noRoute: (url: string) =>
    new ApiError(404, {
      Message: noResource(url),
      MessageDetail: 'No type was found that matches the controller named in the request URI.',
    }),
  noOperation: (url: string, name: string) =>
    new ApiError(404, {
      Message: noResource(url),
      MessageDetail: `No action was found on the controller 'Carrier' that matches the name '${name}'.`,
    }),
  /** Parameters choose the action, and none fits. */
  noAction: (url: string) =>
    new ApiError(404, {
      Message: noResource(url),
      MessageDetail: "No action was found on the controller 'Carrier' that matches the request.",
    }),
  /** What is required and is no reference cannot be null. */
  nullEntry: (parameter: string, type: string, operation: string) =>
    new ApiError(400, {
      Message: 'The request is invalid.',
      MessageDetail: `The parameters dictionary contains a null entry for parameter '${parameter}' of non-nullable type 'System.${type}' for method '${operation}' in 'MyCarrierPacketsApi.Controllers.CarrierController'. An optional parameter must be a reference type, a nullable type, or be declared as an optional parameter.`,
    }),
  badValues: (values: Record<string, string>) =>
    new ApiError(400, {
      Message: 'The request is invalid.',
      ModelState: Object.fromEntries(
        Object.entries(values).map(([name, value]) => [
          name,
          [`The value '${value}' is not valid for Nullable\`1.`],
        ]),
      ),
    }),
  refused: (message: string) => new ApiError(400, { Message: message }),
  notFound: (what: string) => new ApiError(404, { Message: `${what} not found.` }),
  throttled: (limit: number, per: string, retryAfterSeconds: number | undefined) =>
    new ApiError(
      429,
      { Message: `API calls quota exceeded! maximum admitted ${limit} per ${per}.` },
      retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) },
    ),
  /** Whatever went wrong inside. */
  internal: (status = 500) => new ApiError(status, { Message: 'An error has occurred.' }),
};

/** What the API says with this status when it is made to fail. */
export function errorOf(status: number): ApiError {
  if (status === 401) return errors.unauthorized();
  if (status === 403) return errors.forbidden();
  if (status === 404) return errors.notFound('Carrier');
  if (status === 429) return errors.throttled(60, 'Minute', undefined);
  return status < 500
    ? new ApiError(status, { Message: 'The request is invalid.' })
    : errors.internal(status);
}
