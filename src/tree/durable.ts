// SPDX-License-Identifier: GPL-2.0-or-later
/** Small files that are replaced as a whole: after a crash there is the old one or the new one. */
import { closeSync, fsyncSync, openSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { syncDir } from '../engine/linktime.js';

/** Durable when it returns, mode 0600. Throws the errors of node:fs. */
export function replaceFile(path: string, text: string): void {
  const fd = openSync(`${path}.tmp`, 'w', 0o600);
  try {
    writeFileSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(`${path}.tmp`, path);
  syncDir(dirname(path));
}
