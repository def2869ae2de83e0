import type { Report } from './report.ts';

export interface Bench {
  name: string;
  title: string;
  usesDatabase: boolean;
  /** Not part of a run of all. */
  byNameOnly?: true;
  run(options: BenchOptions): Promise<void>;
}

export interface BenchOptions {
  /** Of runs that go by the clock. */
  seconds: number;
  /** That follow one event. */
  sockets: number;
  /** A migrated database; empty unless the bench uses one. */
  databaseUrl: string;
  report: Report;
}
