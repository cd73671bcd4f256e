export * from './link.ts';
export * from './pair.ts';
export * from './random.ts';
