// SPDX-License-Identifier: GPL-2.0-or-later
/** The test runner. Files that take longest begin first, or one processor idles at the end. */
const LONGEST = ['outage', 'daemon', 'boot', 'device'];

const rank = (file) => {
  const at = LONGEST.findIndex((name) => file.endsWith(`/vm/${name}.test.js`));
  return at < 0 ? LONGEST.length : at;
};

export default {
  files: ['dist/test/**/*.test.js'],
  workerThreads: false,
  concurrency: 2,
  timeout: '5m',
  sortTestFiles: (one, other) => rank(one) - rank(other) || one.localeCompare(other),
};
