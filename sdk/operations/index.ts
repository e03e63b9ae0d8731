/** THE TABLE of operations. A line here, and command line, MCP server and Discord bot have it. */
import { drawAgain, generate } from './generate';
import { cancelJob, deleteJob, getJob, listJobs, resumeJob } from './jobs';
import type { Operation } from './operation';
import { personalize } from './personalize';
import { getPicture } from './pictures';
import {
  deleteSubject,
  exportSubject,
  importSubject,
  listSubjects,
  renameSubject,
  showSubject,
} from './subjects';

/** In the order in which hosts list them. */
export const operations = {
  personalize,
  getJob,
  cancelJob,
  resumeJob,
  listJobs,
  deleteJob,
  generate,
  drawAgain,
  getPicture,
  listSubjects,
  showSubject,
  renameSubject,
  exportSubject,
  importSubject,
  deleteSubject,
} satisfies Readonly<Record<string, Operation>>;

export type OperationName = keyof typeof operations;

export { fieldsOf } from './fields';
export { nameAt } from './operation';
