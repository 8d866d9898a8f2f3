import { defineConfig, type Plugin } from 'vite';

/** `npm run dev` answers from invented data unless PLIMSOLL_URL names a running server. */
const server = process.env.PLIMSOLL_URL;

const mock: Plugin = {
  name: 'plimsoll-mock',
  apply: 'serve',
  async configureServer(dev) {
    const { answer } = await import('./dev/mock.ts');
    dev.middlewares.use('/api/v1', answer);
  },
};

export default defineConfig({
  plugins: server === undefined && process.env.VITEST === undefined ? [mock] : [],
  server: server === undefined ? {} : { proxy: { '/api': server } },
  // Nothing may become a data: URL, which the content security policy would refuse.
  build: { target: 'es2022', assetsInlineLimit: 0, modulePreload: { polyfill: false }, reportCompressedSize: false },
});
