/** What both published protocols' reports say of what subjects were learned by. */
import { namedValues } from '../reports/tables';

export const recipeRows = ({
  base,
  vae,
  preset,
  settings,
  recipe,
}: {
  readonly base: string;
  readonly vae: string | null;
  readonly preset: string;
  /** Over the preset's. */
  readonly settings: object;
  /** All of it. */
  readonly recipe: object;
}): [string, string][] => [
  ['base', base],
  ['autoencoder', vae ?? "the base's own"],
  ['preset', preset],
  ['settings over it', namedValues(settings)],
  ['which is in all', namedValues(recipe)],
];
