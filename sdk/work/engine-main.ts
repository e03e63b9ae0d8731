/** The engine's process. An argument, where given, is the module that does the work in place of our own. */
import { pathToFileURL } from 'node:url';
import { serveParentProcess } from '../runtime/worker-main';
import { createWorkerMethods, type Work } from './work';

const [module] = process.argv.slice(2);
const work: Work =
  module === undefined ? await import('./own-work') : ((await import(pathToFileURL(module).href)) as Work);
serveParentProcess(createWorkerMethods(work));
