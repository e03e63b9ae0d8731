/** Learned subjects: looking at them, sharing them, letting go of them. */
import { z } from 'zod';
import { reserveName } from '../jobs/name-reservation';
import { subjectWords } from '../subjects/prompt';
import { exportFormats } from '../subjects/subject-export';
import { deleteSubject as remove, renameSubject as rename, type Subject } from '../subjects/subjects';
import { defineOperation } from './operation';
import { type Caller, findOwnSubject, findSubject, mayChange, usableSubjects } from './rights';

const name = z.string().min(1).max(41).describe('The subject\'s name, as "rex"');

const subjectView = z.object({
  subject: z.string().describe('The name: write @name in prompts'),
  class: z.string(),
  inPrompts: z.string().describe('What stands for it in the text that the model reads, as "sks dog"'),
  kind: z.enum(['lora', 'full', 'embedding']),
  base: z.string(),
  steps: z.int(),
  photos: z.int(),
  createdAt: z.string(),
  mine: z.boolean().describe('Whether the caller may rename, export and delete it'),
});

const viewSubject = (subject: Subject, caller: Caller): z.output<typeof subjectView> => ({
  subject: subject.name,
  class: subject.className,
  inPrompts: subjectWords(subject),
  kind: subject.kind,
  base: subject.base.path,
  steps: subject.steps,
  photos: subject.photos.length,
  createdAt: subject.createdAt,
  mine: mayChange(caller, subject),
});

const saySubject = (view: z.output<typeof subjectView>) =>
  `@${view.subject}: ${view.class}, ${view.kind}, ${view.steps} steps from ${view.photos} photos on ${view.base}`;

export const listSubjects = defineOperation({
  name: 'listSubjects',
  title: 'List subjects',
  words:
    'The subjects that were learned and can be drawn, each with the name that a prompt mentions as @name.',
  effect: 'reads',
  hosts: { cli: 'subjects list', mcp: 'list_subjects', discord: 'subjects' },
  input: z.object({}),
  result: z.object({ subjects: z.array(subjectView) }),
  example: {},
  say: ({ subjects }) =>
    subjects.length === 0
      ? 'There are no subjects yet: learn one from photos.'
      : subjects.map(saySubject).join('\n'),
  run: async ({ home, caller }) => ({
    subjects: usableSubjects(home, caller).map((subject) => viewSubject(subject, caller)),
  }),
});

export const showSubject = defineOperation({
  name: 'showSubject',
  title: 'Show a subject',
  words: 'One subject, with how it was learned.',
  effect: 'reads',
  hosts: { cli: 'subjects show', mcp: false, discord: false },
  input: z.object({ subject: name }),
  result: subjectView,
  example: { subject: 'rex' },
  say: saySubject,
  run: async ({ home, caller }, { subject }) => viewSubject(findSubject(home, caller, subject), caller),
});

export const renameSubject = defineOperation({
  name: 'renameSubject',
  title: 'Rename a subject',
  words: 'Gives a subject another name; prompts mention it by that from then on.',
  effect: 'changes',
  hosts: { cli: 'subjects rename', mcp: false, discord: 'rename' },
  input: z.object({ subject: name, newName: z.string().min(1).max(41).describe('The new name, as "max"') }),
  result: subjectView,
  example: { subject: 'rex', newName: 'max' },
  say: saySubject,
  async run({ home, caller }, { subject, newName }) {
    const { name: own, id } = findOwnSubject(home, caller, subject);
    // A job may wait for it.
    const reservation = reserveName(home, newName.replace(/^@/, ''), id);
    try {
      return viewSubject(rename(home, own, reservation.name), caller);
    } finally {
      reservation.release();
    }
  },
});

export const exportSubject = defineOperation({
  name: 'exportSubject',
  title: 'Export a subject',
  words:
    'Writes what was learned as a file for other programs: kohya for ComfyUI and AUTOMATIC1111, diffusers for Python, checkpoint for base and subject in one, subject for another dreambooth.',
  effect: 'makes',
  hosts: { cli: 'subjects export', mcp: 'export_subject', discord: false },
  input: z.object({
    subject: name,
    format: z.enum(exportFormats).describe('For which programs'),
    path: z
      .string()
      .min(1)
      .max(4096)
      .describe('Where to write it: an absolute path, a .safetensors file or a folder'),
    overwrite: z
      .boolean()
      .optional()
      .describe('Whether a file that is there may be written over; ask the user first. Default: it is kept'),
  }),
  result: z.object({ subject: z.string(), format: z.enum(exportFormats), path: z.string() }),
  example: { subject: 'rex', format: 'kohya', path: '/exports/rex.safetensors' },
  say: ({ subject, format, path }) => `@${subject} is written for ${format}: ${path}`,
  async run({ home, caller, files, signal }, { subject, format, path, overwrite }) {
    const { name: own } = findOwnSubject(home, caller, subject);
    const { exportLearned } = await import('../jobs/learned-files');
    const written = await exportLearned(home, own, format, files.target('path', path), {
      overwrite,
      signal,
    });
    return { subject: own, format, path: written };
  },
});

export const importSubject = defineOperation({
  name: 'importSubject',
  title: 'Import a subject',
  words: 'Makes a subject of a LoRA or embedding file of another program, or of one that was exported whole.',
  effect: 'makes',
  hosts: { cli: 'subjects import', mcp: false, discord: false },
  input: z.object({
    file: z.string().min(1).max(4096).describe('The .safetensors file'),
    name: name.optional(),
    class: z.string().min(1).max(60).optional().describe('What it is, as "dog"'),
    identifier: z.string().max(60).optional().describe('The word that a LoRA was trained with'),
    base: z.string().max(4096).optional().describe('The base model it was trained on'),
  }),
  result: subjectView,
  example: { file: '/loras/rex.safetensors', name: 'rex', class: 'dog', identifier: 'sks' },
  say: saySubject,
  async run({ home, caller, files }, { file, class: className, ...rest }) {
    const { importLearned } = await import('../jobs/learned-files');
    return viewSubject(importLearned(home, files.target('file', file), { className, ...rest }), caller);
  },
});

export const deleteSubject = defineOperation({
  name: 'deleteSubject',
  title: 'Forget a subject',
  words: 'Removes a subject for good: what was learned and the photos it was learned from. Ask first.',
  effect: 'deletes',
  hosts: { cli: 'subjects delete', mcp: 'delete_subject', discord: 'forget' },
  input: z.object({ subject: name }),
  result: z.object({ subject: z.string(), deleted: z.boolean() }),
  example: { subject: 'rex' },
  say: ({ subject }) => `@${subject} is forgotten.`,
  async run({ home, caller }, { subject }) {
    const { name: own } = findOwnSubject(home, caller, subject);
    remove(home, own);
    return { subject: own, deleted: true };
  },
});
