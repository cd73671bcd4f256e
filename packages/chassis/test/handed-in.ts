// Started by a test with a listening socket as descriptor 3, the way systemd does it.
import { createJsonLogger, listenFds } from '@sluice/base';
import { createHealth, createMetrics, startHttp } from '../src/index.ts';

const [socket] = listenFds();
if (socket === undefined) throw new Error('no socket was handed in');
const { origin } = await startHttp({
  fd: socket.fd,
  health: createHealth({ description: socket.name }),
  metrics: createMetrics(),
  logger: createJsonLogger('handed-in'),
  status: () => ({}),
});
console.log(origin);
