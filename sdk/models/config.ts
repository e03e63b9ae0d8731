/** Reading a component's config.json: what a model is built from, and refusal by name of what it cannot build. */
import { UnsupportedConfigError } from '../errors';

export type ModelConfig = Readonly<Record<string, unknown>>;

export interface ModelConfigReader {
  number(key: string, fallback?: number): number;
  flag(key: string, fallback: boolean): boolean;
  /** A list of numbers, or one number for all `count` entries. */
  perBlock(key: string, count: number, fallback?: number): number[];
  /** A list of one of `supported` each. */
  names<const T extends string>(key: string, supported: readonly T[]): T[];
  choice<const T extends string>(key: string, supported: readonly T[], fallback: T): T;
  optionalNumber(key: string): number | undefined;
  /** Refuses any value of `key` but `supported` (and null, its absence). */
  only(key: string, ...supported: readonly unknown[]): void;
  /** Keys that have no bearing on what is computed. */
  ignore(...keys: readonly string[]): void;
  /** Refuses every key that was not read, unless it is unset. Called last. */
  close(): void;
}

export function readModelConfig(component: string, config: ModelConfig): ModelConfigReader {
  const read = new Set<string>();
  const found = (key: string): unknown => {
    read.add(key);
    return config[key] ?? undefined;
  };
  const refuse = (key: string, supported: readonly unknown[]): never => {
    throw new UnsupportedConfigError(component, key, config[key] ?? null, supported);
  };
  const optionalNumber = (key: string) => {
    const value = found(key);
    if (value !== undefined && (typeof value !== 'number' || !Number.isFinite(value)))
      refuse(key, ['a number']);
    return value as number | undefined;
  };
  const one = <T extends string>(key: string, value: unknown, supported: readonly T[]): T =>
    supported.find((name) => name === value) ?? refuse(key, supported);
  return {
    optionalNumber,
    number: (key, fallback) => optionalNumber(key) ?? fallback ?? refuse(key, ['a number']),
    flag(key, fallback) {
      const value = found(key) ?? fallback;
      return typeof value === 'boolean' ? value : refuse(key, [true, false]);
    },
    perBlock(key, count, fallback) {
      const value = found(key) ?? fallback;
      const list = typeof value === 'number' ? new Array<number>(count).fill(value) : value;
      const fits =
        Array.isArray(list) && list.length === count && list.every((x) => Number.isInteger(x) && x > 0);
      return fits ? list : refuse(key, ['a number', `a list of ${count} numbers`]);
    },
    names(key, supported) {
      const value = found(key);
      if (!Array.isArray(value) || value.length === 0) refuse(key, [`a list of ${supported.join(', ')}`]);
      return (value as unknown[]).map((name) => one(key, name, supported));
    },
    choice: (key, supported, fallback) => one(key, found(key) ?? fallback, supported),
    only(key, ...supported) {
      const value = found(key);
      if (value !== undefined && !supported.includes(value))
        refuse(key, supported.length > 0 ? supported : [null]);
    },
    ignore(...keys) {
      for (const key of keys) read.add(key);
    },
    close() {
      for (const [key, value] of Object.entries(config)) {
        const unset = value === null || value === false;
        if (!read.has(key) && !key.startsWith('_') && !unset) refuse(key, [null]);
      }
    },
  };
}
