/** From the text beside a photo to the prompt that it is learned under. */
import { type MentionedSubject, ownPrompt } from '../subjects/prompt';

export interface CaptionedSubject extends MentionedSubject {
  readonly name: string;
  /** What photos without a caption are learned under. */
  readonly instancePrompt: string;
}

/**
 * `{subject}`, as in other prompts of the training, and `@name`, as in those of pictures, become the subject's words. Where a caption does
 * not speak of the subject, `instancePrompt` is put before it and `added` is true: the words would else mean nothing.
 * Throws InvalidOptionError for the mention of another subject.
 */
export function captionPrompt(
  caption: string,
  subject: CaptionedSubject,
): { prompt: string; added: boolean } {
  const text = ownPrompt('captions', caption, subject);
  // An embedding's word stands in brackets.
  const words = (of: string) =>
    ` ${of
      .toLowerCase()
      .replace(/[^\p{L}\p{N}]+/gu, ' ')
      .trim()} `;
  const speaksOfIt = words(text).includes(
    words(subject.identifier === '' ? subject.className : subject.identifier),
  );
  return speaksOfIt
    ? { prompt: text, added: false }
    : { prompt: `${subject.instancePrompt}, ${text}`, added: true };
}

/** The prompts of photos that have a caption, by their places. */
export function captionsOf(
  photos: readonly { readonly name: string; readonly caption?: string | undefined }[],
  subject: CaptionedSubject,
  onWarning: (message: string) => void,
): (string | undefined)[] {
  const written = photos.map(({ caption }) =>
    caption === undefined ? undefined : captionPrompt(caption, subject),
  );
  const added = photos.filter((_, i) => written[i]?.added).map(({ name }) => name);
  if (added.length > 0) {
    onWarning(
      `The captions of ${added.join(', ')} do not speak of the subject: "${subject.instancePrompt}" is put before them. Write {subject} where it belongs.`,
    );
  }
  return written.map((caption) => caption?.prompt);
}
