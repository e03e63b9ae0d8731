/** Every folder of photos in a folder becomes a subject, and each is drawn once. Run with: npx tsx examples/batch.ts FOLDER CLASS */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { generate, listSubjects, openHome, personalize } from 'dreambooth';

const [folder = '.', className = 'dog'] = process.argv.slice(2);
const learned = new Set(listSubjects(openHome()).map(({ name }) => name));
for (const { name } of readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory())) {
  if (!learned.has(name)) await personalize([join(folder, name)], className, { name });
  const [image] = await generate(`a photo of @${name} on a beach`, { seed: 1 });
  await image!.save(join(folder, `${name}.png`));
  console.log(join(folder, `${name}.png`));
}
