import { isSetup, releaseId } from './lib/release.mjs';
import { serve } from './lib/serve.mjs';

const page = (title, text) => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>${title}</title>
<h1>${title}</h1>
<p>${text}</p>
<p><small>release ${releaseId}</small></p>
</html>
`;

serve('web', (url, _request, { faults }) => {
  if (url.pathname === '/web/health') return faults.notReady ? [503, { status: 'not_ready' }] : [200, { status: 'ok' }];
  if (isSetup) return url.pathname === '/' || url.pathname === '/setup' ? [200, page('Noderax setup', 'Give this control plane its public origin.')] : null;
  return url.pathname === '/' ? [200, page('Noderax dashboard', 'Nodes, tasks and events.')] : null;
});
