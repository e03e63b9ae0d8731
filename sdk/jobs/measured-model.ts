/** Whose pictures of the embedded world are measured, as a caller names them. */
import type { Home } from '../subjects/home';
import { snapshotFolder } from '../subjects/snapshots';
import { readSubject, type Subject } from '../subjects/subjects';
import type { ToySubject } from '../toybox/toy-subject';
import type { MeasuredModel } from '../work/run-measurement';

export type ToySource =
  /** The untouched model, asked by the class noun alone or with a word before it. */
  | {
      readonly kind: 'base';
      readonly identifier?: string;
      /** Of a subject that it is compared with, so that both are drawn alike; default: as the base is. */
      readonly settings?: Subject['settings'];
    }
  | {
      readonly kind: 'subject';
      /** In the home. */
      readonly name: string;
      /** The noun after its identifier, where that is not its class; null: none. */
      readonly noun?: string | null;
      /** As it was after so many steps, where that was kept. */
      readonly step?: number;
      /** How many photos it was learned from, with which its pictures are compared; default 4. */
      readonly photos?: number;
    }
  /** Renders of the subject: what a perfect model would draw. */
  | { readonly kind: 'real' }
  /** The photos, whatever is asked. */
  | { readonly kind: 'copies' };

/** Throws UnknownSubjectError, and InvalidOptionError for a step that was not kept. */
export function measuredModel(home: Home, toy: ToySubject, source: ToySource): MeasuredModel {
  if (source.kind === 'base') {
    const { kind, identifier = null, settings = {} } = source;
    return { kind, identifier, noun: toy.class, settings };
  }
  if (source.kind !== 'subject') return source;
  const { name, noun, step, photos } = source;
  const subject = readSubject(home, name);
  const folder = step === undefined ? subject.folder : snapshotFolder(subject, step);
  // An embedding stands for identifier and class in one.
  const own = subject.kind === 'embedding' ? null : subject.className;
  return {
    kind: 'subject',
    subject,
    folder,
    noun: noun === undefined ? own : noun,
    ...(photos !== undefined && { photos }),
  };
}
