/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sys.cc - the addon mars_sys: system calls Node has no words for
 *
 * No state: it may be loaded by any number of threads.
 */
#include "sys.h"

static Napi::Object Init(Napi::Env env, Napi::Object exports)
{
	mars::InitLinks(env, exports);
	mars::InitLock(env, exports);
	mars::InitFiles(env, exports);
	mars::InitIoctl(env, exports);
	mars::InitPoll(env, exports);
	mars::InitNotify(env, exports);
	return exports;
}

NODE_API_MODULE(mars_sys, Init)
