import { defineConfig } from 'vitest/config';

export default defineConfig({
  // Relative paths: the page works at the root of a CloudFront distribution and below any folder.
  base: './',
  build: {
    target: 'es2023',
    // A data: URL in a style sheet or a script would need more than `'self'` in the policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [{ name: 'vendor', test: /node_modules/ }],
        },
      },
    },
  },
  test: {
    include: ['tests/**/*.test.ts'],
    environment: 'node',
  },
});
