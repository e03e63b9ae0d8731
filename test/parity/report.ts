/** What a check says: one row each, and what may stand between ours and the reference. */
import { UnsupportedConfigError, UnsupportedLoraError, UnsupportedModelError } from '../../sdk/errors';
import { relativeError } from '../schedulers/reference-run';

/**
 * `absent`: the reference values are not in the folder. `unsupported`: they are, and we do not compute that yet.
 * Neither reads as passed.
 */
export type Status = 'pass' | 'FAIL' | 'absent' | 'unsupported';

export interface Row {
  readonly where: string;
  readonly check: string;
  readonly status: Status;
  /** The largest difference, in the unit of `tolerance`. */
  readonly difference?: number;
  readonly tolerance?: number;
  readonly note?: string;
}

/** A check's rows without their place. */
export type Finding = Omit<Row, 'where'>;
export type Findings = AsyncGenerator<Finding> | Generator<Finding>;

/** Shares of the largest absolute value of the reference tensor, unless said otherwise. */
export const tolerances = {
  /** Ids and names are equal or not. */
  exact: 0,
  modules: 1e-4,
  schedulers: 2e-5,
  latents: 1e-4,
  /** Absolute, pictures in [0, 1]. */
  images: 2e-3,
  /** Of each loss. */
  losses: 1e-4,
  /** Python's numbers against ours: the same formula in double precision. */
  learningRates: 1e-9,
  gradients: 1e-3,
  /** ‖ours − reference‖ / ‖reference − start‖ of each tensor, Euclidean. */
  weights: 5e-3,
  /** The same matrices read from two files, one of which may have alpha multiplied in. */
  loraFiles: 1e-6,
} as const;

export const judge = (check: string, difference: number, tolerance: number, note?: string): Finding => ({
  check,
  // Written so that NaN fails.
  status: difference <= tolerance ? 'pass' : 'FAIL',
  difference,
  tolerance,
  ...(note === undefined ? {} : { note }),
});

/** Compares two arrays by the largest difference as a share of the reference's largest value. */
export const compare = (
  check: string,
  ours: ArrayLike<number>,
  reference: ArrayLike<number>,
  tolerance: number,
  note?: string,
): Finding =>
  ours.length === reference.length
    ? judge(check, relativeError(ours, reference), tolerance, note)
    : {
        ...judge(check, Infinity, tolerance),
        note: `${ours.length} values; the reference has ${reference.length}`,
      };

export const same = (check: string, equal: boolean, note?: string): Finding =>
  judge(check, equal ? 0 : Infinity, tolerances.exact, note);

export const absent = (check: string, note?: string): Finding => ({
  check,
  status: 'absent',
  ...(note === undefined ? {} : { note }),
});

export const unsupported = (check: string, note: string): Finding => ({ check, status: 'unsupported', note });

/** The findings of a check that may throw: what is refused by name is `unsupported`, all else a failure. */
export async function* guarded(check: string, findings: () => Findings): AsyncGenerator<Finding> {
  try {
    yield* findings();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (isRefusal(error)) yield unsupported(check, message);
    else yield { check, status: 'FAIL', note: message };
  }
}

const isRefusal = (error: unknown) =>
  error instanceof UnsupportedModelError ||
  error instanceof UnsupportedConfigError ||
  error instanceof UnsupportedLoraError;

export const heading = (): string => line('where', 'check', 'difference', 'tolerance', 'result');

export function describeRow({ where, check, difference, tolerance, status, note }: Row): string {
  const number = (value: number | undefined) =>
    value === undefined ? '' : value === 0 ? '0' : value.toExponential(1);
  return line(where, check, number(difference), number(tolerance), status) + (note ? `  ${note}` : '');
}

function line(where: string, check: string, difference: string, tolerance: string, status: string): string {
  return `${where.padEnd(16)} ${check.padEnd(52)} ${difference.padStart(10)} ${tolerance.padStart(9)}  ${status.padEnd(4)}`;
}

export function summary(rows: readonly Row[]): string {
  const count = (status: Status) => rows.filter((row) => row.status === status).length;
  return `${rows.length} checks: ${count('pass')} passed, ${count('FAIL')} failed, ${count('absent')} absent, ${count('unsupported')} unsupported`;
}
