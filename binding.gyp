# SPDX-License-Identifier: GPL-2.0-or-later
#
# Two addons. mars_sys holds the few system calls Node has no words for (link
# times with nanoseconds, flock, fallocate, ioctl, sd_notify): the tree and
# marsadm need no more. mars holds the embedded engine: the C core compiled
# against the user-space stand-ins of the kernel headers, and the log scanner.
#
# Configuration Release is what runs; Debug is the same under AddressSanitizer
# and UndefinedBehaviorSanitizer (npm run build:native:asan).
{
  'target_defaults': {
    'dependencies': ["<!(node -p \"require('node-addon-api').targets\"):node_addon_api"],
    # A thread that is being terminated can't take an exception; that is no reason to abort.
    'defines': ['NAPI_VERSION=9', 'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS', '_GNU_SOURCE'],
    'cflags': ['-fvisibility=hidden', '-Wall', '-Wextra', '-Wno-unused-parameter'],
    'cflags_c': ['-std=gnu11', '-Werror=implicit-function-declaration'],
    'cflags_cc': ['-std=gnu++17', '-fvisibility-inlines-hidden'],
    'ldflags': ['-Wl,-z,nodelete,-z,now', '-pthread'],
    'configurations': {
      'Release': {
        'cflags': ['-O2', '-g1'],
        'cflags!': ['-O3'],
      },
      'Debug': {
        'cflags': ['-O1', '-g', '-fno-omit-frame-pointer',
                   '-fsanitize=address,undefined', '-fno-sanitize-recover=undefined'],
        'cflags!': ['-O0'],
        'ldflags': ['-fsanitize=address,undefined'],
      },
    },
  },
  'targets': [
    {
      'target_name': 'mars_sys',
      # not 'kernel': there, linux/ holds headers of the module
      'include_dirs': ['kernel/uapi'],
      'sources': ["<!@(node scripts/native-sources.mjs sys)"],
    },
    {
      'target_name': 'mars',
      'include_dirs': ['native/shim', 'native'],
      # for quoted names only, for the same reason
      'cflags': ['-iquote<(module_root_dir)/kernel'],
      'defines': ['MARS_BUILD="<!(node -p "require(\'./package.json\').version")"'],
      'sources': ["<!@(node scripts/native-sources.mjs engine)"],
    },
  ],
}
