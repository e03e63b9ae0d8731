import type { RecipeChosen } from 'dreambooth';

/** What a training is about to do: its preset, what differs from it, and what comes of it. */
export function recipeLines({ preset, settings, changed, bytes }: Omit<RecipeChosen, 'kind'>): string[] {
  const differing = changed.map((name) => `${name}=${settings[name]}`).join(', ');
  const rate = `${settings['steps']} steps at ${settings['learningRate']}`;
  const kinds: Readonly<Record<string, string>> = {
    lora: `a LoRA of rank ${settings['rank']}`,
    full: 'every weight',
    embedding: 'an embedding',
  };
  return [
    `Preset ${preset}${differing === '' ? '' : `, but ${differing}`} (dreambooth presets show ${preset})`,
    `Trains ${kinds[String(settings['kind'])]}, ${rate}, on "${settings['instancePrompt']}"; ${megabytes(bytes)} in the end`,
  ];
}

function megabytes(bytes: number): string {
  const [size, unit] =
    bytes < 1e6 ? [bytes / 1e3, 'kB'] : bytes < 1e9 ? [bytes / 1e6, 'MB'] : [bytes / 1e9, 'GB'];
  return `${size < 100 ? size.toPrecision(2) : size.toFixed(0)} ${unit}`;
}
