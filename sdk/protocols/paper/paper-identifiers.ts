/** The rare words that name the paper's subjects, each another (Ruiz et al. 2023, §3.2: drawn without replacement). */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { isSingleFile } from '../../checkpoint/checkpoint';
import { clipVocabulary } from '../../checkpoint/clip-vocabulary';
import { checkpointDirectory } from '../../checkpoint/diffusers-folder';
import { openSingleFile } from '../../checkpoint/single-file';
import { openTokenizerFiles, type TokenizerFiles } from '../../checkpoint/tokenizer-files';
import { basePath } from '../../jobs/base-path';
import { createRandom } from '../../random';
import { createClipTokenizer } from '../../tokenizers/clip-bpe';
import { chooseIdentifier, identifierCandidates } from '../../tokenizers/identifier';
import { paperSubjects } from './paper-prompts';

/**
 * By subject, for all thirty whichever are there, so that a word hangs on nothing but the base's tokenizer and `seed`.
 * A tokenizer with fewer rare words gives them anew once all are drawn. Throws MissingFileError, BrokenFileError, and
 * InvalidOptionError for one with none.
 */
export function paperIdentifiers(base: string, seed: number): Readonly<Record<string, string>> {
  const tokenizer = createClipTokenizer(tokenizerOf(basePath(base)));
  const random = createRandom(seed);
  let drawn: string[] = [];
  return Object.fromEntries(
    paperSubjects.map(({ name, className }) => {
      if (identifierCandidates(tokenizer, className, drawn).length === 0) drawn = [];
      const word = chooseIdentifier(tokenizer, className, random, drawn);
      drawn.push(word);
      return [name, word];
    }),
  );
}

/** The base's own; CLIP's where it has none. */
function tokenizerOf(path: string): TokenizerFiles {
  if (isSingleFile(path)) return openSingleFile(path).tokenizers.get('tokenizer') ?? clipVocabulary();
  const folder = join(checkpointDirectory(path), 'tokenizer');
  return existsSync(folder) ? openTokenizerFiles(folder) : clipVocabulary();
}
