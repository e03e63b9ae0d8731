/** Learn a subject from photos, draw it in a new place. Run with: npx tsx examples/first-subject.ts PHOTOS… */
import { generate, personalize } from 'dreambooth';

const subject = await personalize(process.argv.slice(2), 'dog', { name: 'rex' });
const [image] = await generate(`a photo of @${subject.name} in the snow`, { seed: 42 });
await image!.save('rex-in-the-snow.png');
