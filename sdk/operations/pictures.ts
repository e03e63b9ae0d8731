import { join } from 'node:path';
import { z } from 'zod';
import { jobFolder } from '../jobs/jobs';
import { pictureView } from './job-view';
import { defineOperation } from './operation';
import { findPicture } from './rights';

export const getPicture = defineOperation({
  name: 'getPicture',
  title: 'Get a picture',
  words: 'A picture that was drawn, by its id: where its file is, and how it was made.',
  effect: 'reads',
  hosts: { cli: 'pictures show', mcp: 'get_image', discord: false },
  input: z.object({ picture: z.string().min(1).max(90).describe('The picture\'s id, as "draw-1f3a.1"') }),
  result: pictureView.extend({ prompt: z.string(), job: z.string(), bytes: z.int() }),
  example: { picture: 'draw-1f3a.1' },
  say: ({ path, prompt, seed }) => `${path} ("${prompt}", seed ${seed})`,
  async run({ home, jobs, caller }, { picture: id }) {
    const { job, picture } = findPicture(jobs, caller, id);
    const { file, seed, width, height, bytes } = picture;
    return {
      picture: id,
      path: join(jobFolder(home, job.id), file),
      seed,
      width,
      height,
      bytes,
      prompt: job.prompt,
      job: job.id,
    };
  },
});
