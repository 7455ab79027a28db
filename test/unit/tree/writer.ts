// SPDX-License-Identifier: GPL-2.0-or-later
/** Child process of tree.test.ts: writes many keys as another process would. */
import { openLocalTree } from '../../../src/tree/tree.js';

const [dir = '', count = '0'] = process.argv.slice(2);
const tree = openLocalTree({ dir, host: 'hosta' });
process.send?.('ready');
process.once('message', () => {
  for (let i = 0; i < Number(count); i++)
    tree.write({ [`userspace/child${i}`]: `${i}`, 'userspace/common': `child${i}` });
  tree.close();
  process.disconnect();
});
