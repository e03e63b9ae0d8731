import type { ClipTokenizerFiles } from '../../sdk/tokenizers/clip-bpe';
import { createClipTokenizer } from '../../sdk/tokenizers/clip-bpe';
import { type Findings, same } from './report';

export interface TokenizedText {
  readonly text: string;
  readonly ids: readonly number[];
}

/** Each text's ids, padded or cut as the reference's are. */
export function* checkTokenizer(
  check: string,
  files: ClipTokenizerFiles,
  texts: readonly TokenizedText[],
): Findings {
  const tokenizer = createClipTokenizer(files);
  const wrong = texts.filter(
    ({ text, ids }) => tokenizer.tokenize(text, ids.length).ids.join() !== ids.join(),
  );
  const note =
    wrong.length > 0
      ? `${wrong.length} of ${texts.length} differ: ${JSON.stringify(wrong[0]!.text)}`
      : `${texts.length} texts`;
  yield same(check, texts.length > 0 && wrong.length === 0, note);
}
