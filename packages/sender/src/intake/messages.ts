import type { Digest, OperationalCode, Result } from '@sluice/ports';
import type { LinkObject, ReceptionPlaces, ScanLimits, Submission } from '@sluice/sources';

/** What the intake thread is started with. */
export interface IntakeOptions {
  /** Root of the staging store. */
  readonly storeRoot: string;
  readonly limits: ScanLimits;
}

/** An input whose content is in the staging store, ready to be sealed. */
export interface CollectedInput {
  /** Name of the release. */
  readonly name: string;
  /** The release envelope, which is in the store too. */
  readonly release: { readonly digest: Digest; readonly size: number };
  readonly objects: readonly LinkObject[];
  readonly blobs: number;
  readonly bytes: number;
}

/** What the thread is asked for, and the answer to each. */
export interface IntakeCalls {
  /** A submission begins; its bytes follow. */
  begin: { readonly ask: { readonly id: string; readonly places: ReceptionPlaces }; readonly answer: undefined };
  bytes: { readonly ask: { readonly id: string; readonly bytes: Uint8Array }; readonly answer: Result<undefined> };
  end: { readonly ask: { readonly id: string }; readonly answer: Result<undefined> };
  /** The stream broke, or was refused. */
  abandon: { readonly ask: { readonly id: string }; readonly answer: undefined };
  /** Stop 1: everything of a whole input. */
  collect: { readonly ask: Submission; readonly answer: Result<CollectedInput> };
  /** Which of these objects are in the store no longer, or were written to since they got their names; the latter are removed. */
  missing: { readonly ask: readonly Pick<LinkObject, 'digest' | 'size'>[]; readonly answer: readonly Digest[] };
}

export type IntakeCall = {
  [Name in keyof IntakeCalls]: { readonly call: number; readonly name: Name; readonly ask: IntakeCalls[Name]['ask'] };
}[keyof IntakeCalls];

export type IntakeAnswer =
  | { readonly call: number; readonly answer: unknown }
  /** The world failed: an OperationalError, which does not cross threads as one. */
  | {
      readonly call: number;
      readonly failure: { readonly code: OperationalCode; readonly message: string; readonly retryable: boolean };
    };
