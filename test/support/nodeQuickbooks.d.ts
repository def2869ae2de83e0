/** As much of it as the tests use: its own types do not fit the CommonJS class that an ES module imports. */
declare module 'node-quickbooks' {
  export default class QuickBooks {
    constructor(...settings: (string | number | boolean)[]);
    endpoint: string;
    createCustomer(fields: object, callback: (error: unknown, result: unknown) => void): void;
    getCustomer(id: string, callback: (error: unknown, result: unknown) => void): void;
    updateCustomer(fields: object, callback: (error: unknown, result: unknown) => void): void;
    findCustomers(criteria: object, callback: (error: unknown, result: unknown) => void): void;
    batch(items: object[], callback: (error: unknown, result: unknown) => void): void;
    changeDataCapture(
      entities: string[],
      since: string,
      callback: (error: unknown, result: unknown) => void,
    ): void;
  }
}
