export type { Host } from 'dreambooth';
