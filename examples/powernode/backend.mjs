// The API. SIGUSR2 has it read its settings and its code (app.mjs) again: the process stays, and so does every connection.
import { instance } from './lib/release.mjs';
import { serve } from './lib/serve.mjs';

let generation = 0;
let app = await load();

async function load() {
  // A query makes it another module: the one that is in use stays as it is until the new one is whole.
  const { createApp } = await import(`./app.mjs?generation=${generation}`);
  return createApp(generation);
}

process.on('SIGUSR2', async () => {
  generation += 1;
  try {
    app = await load();
    console.log(`${instance}: reloaded, generation ${generation}`);
  } catch (error) {
    console.error(`${instance}: could not reload, goes on as it was:`, error);
  }
});

serve((url, state) => app(url, state));
