/** What hosts offer, once: the command line, the MCP server and the Discord bot are made from descriptions like these. */
import type { z } from 'zod';
import type { BaseDefaults } from '../jobs/drawing';
import type { JobQueue } from '../jobs/job-queue';
import type { JobIndex } from '../jobs/jobs';
import type { Home } from '../subjects/home';
import type { FileRights } from './file-rights';
import type { Limits } from './limits';
import type { Caller } from './rights';

/** Where an operation is shown; the names of an adapter's folder. */
export const hostKinds = ['cli', 'mcp', 'discord'] as const;
export type HostKind = (typeof hostKinds)[number];

/** What an operation does to what is there: hosts tell models and moderators by it what is harmless. */
export type Effect = 'reads' | 'makes' | 'changes' | 'deletes';

export interface Operation<
  Input extends z.ZodObject = z.ZodObject,
  Result extends z.ZodObject = z.ZodObject,
> {
  /** In camelCase. */
  readonly name: string;
  /** A few words, as on a button. */
  readonly title: string;
  /** A sentence or three for people and models: what it does, when to use it, what comes next. */
  readonly words: string;
  /** Each field with a description; see `fieldsOf` for the kinds of values that every host can ask for. */
  readonly input: Input;
  readonly result: Result;
  /** Shown where arguments were wrong. */
  readonly example: z.input<Input>;
  readonly effect: Effect;
  /**
   * Under what name each host shows it; false: not there. By default `list-jobs` on the command line and on Discord and
   * `list_jobs` over MCP, of `listJobs`. On the command line words after a blank are a subcommand.
   */
  readonly hosts?: { readonly [Kind in HostKind]?: string | false };
  /** What people read in place of the result as JSON. */
  say(result: z.output<Result>): string;
  /** Loads what it needs of the engine's side itself: the table is there for help and completion, too, at once. */
  run(context: OperationContext, input: z.output<Input>): Promise<z.output<Result>>;
}

/** What an operation may use. */
export interface OperationContext {
  readonly home: Home;
  readonly jobs: JobIndex;
  readonly queue: JobQueue;
  readonly defaults: BaseDefaults;
  readonly limits: Limits;
  readonly caller: Caller;
  readonly files: FileRights;
  /** Kept with a job that is made, for the host that answers when it ends; see `JobRecord.replyTo`. */
  readonly replyTo: Readonly<Record<string, string>> | null;
  readonly signal: AbortSignal;
  /** Told when the operation begins to wait for a job; the signal is aborted when it no longer does. */
  readonly onWait: (job: string, waits: AbortSignal) => void;
}

/** Keeps the types of input and result for `run` and `say`. */
export const defineOperation = <Input extends z.ZodObject, Result extends z.ZodObject>(
  operation: Operation<Input, Result>,
): Operation<Input, Result> => operation;

/** The operation's name at a host, null where it is not shown. */
export function nameAt({ name, hosts }: Pick<Operation, 'name' | 'hosts'>, kind: HostKind): string | null {
  const given = hosts?.[kind];
  if (given !== undefined) return given === false ? null : given;
  return name.replace(/[A-Z]/g, (letter) => `${kind === 'mcp' ? '_' : '-'}${letter.toLowerCase()}`);
}
