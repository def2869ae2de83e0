import type { Provider } from '../provider.ts';

/** A provider as a file describes it, or as it changes a built-in one. */
export interface DescribedProvider {
  provider: Provider;
  allowPrivateNetwork: boolean;
  /** false: described from documentation alone. */
  verified: boolean;
  /** The file says where it is: no emulation stands in for it. */
  isAimed: boolean;
}

/** A built-in provider that no file changes. */
export const asBuiltIn = (provider: Provider): DescribedProvider => ({
  provider,
  allowPrivateNetwork: false,
  verified: true,
  isAimed: false,
});
