/** What job.json holds: a personalisation or a drawing, whose it is, and how far it is. */
import { z } from 'zod';
import { settingValue } from '../subjects/subjects';
import { personalizationSettings } from '../work/personalization-settings';
import { phases } from '../work/progress';

export const jobStates = ['queued', 'running', 'stopped', 'failed', 'done', 'cancelled'] as const;
export type JobState = (typeof jobStates)[number];

/** Who asked, where, and through what; see `Caller`. */
export const jobOrigin = z.object({
  /** The person, as `local` or `discord:1234`. */
  owner: z.string().default('local'),
  /** The community in which it was asked for, as a Discord server; null: none. */
  scope: z.string().nullable().default(null),
  /** As `cli`, `mcp`, `discord`. */
  host: z.string().default('library'),
});
export type JobOrigin = z.infer<typeof jobOrigin>;

/** Where an answer goes that its asker does not wait for; the host alone understands it. */
export const replyTo = z.record(z.string(), z.string());

const common = z.object({
  id: z.string(),
  state: z.enum(jobStates),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
  ...jobOrigin.shape,
  /**
   * Whether the process that made it runs it and nobody else: broken off, it is `stopped`. Else any host of the home
   * runs it when its turn comes, and goes on with it when another host died over it.
   */
  attended: z.boolean().default(true),
  /** Its place in line: see `turns.ts`. */
  turn: z.number().int().nonnegative().default(0),
  replyTo: replyTo.nullable().default(null),
  progress: z
    .object({
      phase: z.enum(phases),
      step: z.number(),
      steps: z.number(),
      loss: z.number().optional(),
      secondsLeft: z.number().nullable().default(null),
    })
    .nullable(),
  /** What whoever asked should know, and what stopped nothing. */
  warnings: z.array(z.string()).default([]),
  /** Why it failed. */
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
});

const personalization = common.extend({
  kind: z.literal('personalize'),
  /** The name that the subject gets. */
  name: z.string(),
  className: z.string(),
  /** As given; null: the base's tokenizer chooses one that no subject in `usedIdentifiers` has. */
  identifier: z.string().nullable(),
  usedIdentifiers: z.array(z.string()),
  /** `toybox`, or an absolute path. */
  base: z.string(),
  /** The absolute path of an autoencoder in place of the base's own. */
  vae: z.string().nullable().default(null),
  seed: z.number().int(),
  /** The subject whose weights it starts from, and how many steps those had; null: the base's own. */
  continueFrom: z
    .object({ name: z.string(), id: z.string(), steps: z.number(), baseFingerprint: z.string() })
    .nullable()
    .default(null),
  /** As given; of a continued subject, its own with those over them. */
  settings: personalizationSettings.partial(),
  /** Who affirmed that the photos may be used, when, and in answer to what; null: nobody was asked. */
  consent: z.object({ by: z.string(), at: z.iso.datetime(), words: z.string() }).nullable().default(null),
  /** `file` and `mask` are relative to the job's folder; `name` is what the caller called the photo. */
  photos: z.array(
    z.object({
      file: z.string(),
      name: z.string(),
      sha256: z.string(),
      caption: z.string().optional(),
      mask: z.string().optional(),
    }),
  ),
});

const drawing = common.extend({
  kind: z.literal('generate'),
  prompt: z.string(),
  /** Of the first picture. */
  seed: z.number().int().nonnegative(),
  count: z.number().int().positive(),
  /** What else was asked for, as `GenerateRequest` has it; the photo and the mask are files `image` and `mask` beside. */
  request: z.record(z.string(), z.unknown()),
  /** Made pictures, files of the job's folder. `id` is the job's with a number: `draw-1f3a.1`. */
  pictures: z.array(
    z.object({
      id: z.string(),
      file: z.string(),
      seed: z.number().int(),
      width: z.number().int(),
      height: z.number().int(),
      bytes: z.number().int(),
      settings: z.record(z.string(), settingValue),
    }),
  ),
});

export const jobRecord = z.discriminatedUnion('kind', [personalization, drawing]);

export type PersonalizationRecord = z.infer<typeof personalization>;
export type DrawingRecord = z.infer<typeof drawing>;
export type JobRecord = PersonalizationRecord | DrawingRecord;
export type JobPhoto = PersonalizationRecord['photos'][number];
export type DrawnPicture = DrawingRecord['pictures'][number];

/** Waiting or worked on. */
export const isOpen = ({ state }: Pick<JobRecord, 'state'>): boolean =>
  state === 'queued' || state === 'running';
