/** Reading a component's config.json: what a model is built from, and refusal by name of what it cannot build. */
import { UnsupportedConfigError } from '../errors';

export type ModelConfig = Readonly<Record<string, unknown>>;

export interface ModelConfigReader {
  number(key: string, fallback?: number): number;
  flag(key: string, fallback: boolean): boolean;
  /** A list of whole positive numbers, at least one. */
  numbers(key: string): number[];
  /** Such a list, or one number for all `count` entries. */
  perBlock(key: string, count: number, fallback?: number): number[];
  flagPerBlock(key: string, count: number, fallback: boolean): boolean[];
  /** One number for all, or an entry a block: one number for all of its `layers`, or a list of one each. */
  perLayer(key: string, layers: readonly number[], fallback?: number): number[][];
  /** A list of `count`, one of `supported` each. */
  names<const T extends string>(key: string, supported: readonly T[], count: number): T[];
  choice<const T extends string | number>(key: string, supported: readonly T[], fallback: T): T;
  /** One of `supported`, or undefined where the config has none. */
  optionalChoice<const T extends string>(key: string, supported: readonly T[]): T | undefined;
  optionalNumber(key: string): number | undefined;
  /** A list of `count` numbers of any kind, or undefined where the config has none. */
  optionalNumbers(key: string, count: number): number[] | undefined;
  refuse(key: string, supported: readonly unknown[]): never;
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
  const one = <T extends string | number>(key: string, value: unknown, supported: readonly T[]): T =>
    supported.find((name) => name === value) ?? refuse(key, supported);
  const isCount = (x: unknown): x is number => Number.isInteger(x) && (x as number) > 0;
  const perBlock = <T>(
    key: string,
    count: number,
    value: unknown,
    fits: (x: unknown) => x is T,
    what: string,
  ) => {
    const list: unknown = fits(value) ? new Array<T>(count).fill(value) : value;
    if (!Array.isArray(list) || list.length !== count || !list.every(fits))
      return refuse(key, [`a ${what}`, `a list of ${count} ${what}s`]);
    return list as T[];
  };
  return {
    optionalNumber,
    refuse,
    number(key, fallback) {
      // A null that is written stands for itself in diffusers, not for the default.
      const value = optionalNumber(key) ?? (config[key] === null ? undefined : fallback);
      return value ?? refuse(key, ['a number']);
    },
    optionalNumbers(key, count) {
      const value = found(key);
      const fits = Array.isArray(value) && value.length === count && value.every(Number.isFinite);
      return value === undefined || fits ? value : refuse(key, [`a list of ${count} numbers`, null]);
    },
    flag(key, fallback) {
      const value = found(key) ?? fallback;
      return typeof value === 'boolean' ? value : refuse(key, [true, false]);
    },
    numbers(key) {
      const value = found(key);
      const fits = Array.isArray(value) && value.length > 0 && value.every(isCount);
      return fits ? value : refuse(key, ['a list of numbers']);
    },
    perBlock: (key, count, fallback) => perBlock(key, count, found(key) ?? fallback, isCount, 'number'),
    flagPerBlock: (key, count, fallback) =>
      perBlock(key, count, found(key) ?? fallback, (x): x is boolean => typeof x === 'boolean', 'boolean'),
    perLayer(key, layers, fallback) {
      const value = found(key) ?? fallback;
      const isDepth = (x: unknown): x is number => Number.isInteger(x) && (x as number) >= 0;
      const blocks = typeof value === 'number' ? layers.map(() => value) : value;
      if (!Array.isArray(blocks) || blocks.length !== layers.length)
        return refuse(key, ['a number', `a list of ${layers.length}`]);
      return layers.map((count, i) => {
        const depths: unknown = isDepth(blocks[i]) ? new Array<number>(count).fill(blocks[i]) : blocks[i];
        // Entries beyond the last layer are never looked at.
        if (!Array.isArray(depths) || depths.length < count || !depths.every(isDepth))
          return refuse(key, [`a number or a list of ${count} at block ${i}`]);
        return depths.slice(0, count);
      });
    },
    names(key, supported, count) {
      const value = found(key);
      if (!Array.isArray(value) || value.length !== count)
        return refuse(key, [`a list of ${count} of ${supported.join(', ')}`]);
      return value.map((name) => one(key, name, supported));
    },
    choice: (key, supported, fallback) => one(key, found(key) ?? fallback, supported),
    optionalChoice(key, supported) {
      const value = found(key);
      return value === undefined ? undefined : one(key, value, supported);
    },
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
