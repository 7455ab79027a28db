/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sys.h - the parts of the addon mars_sys; each adds its functions to @exports
 */
#ifndef _MARS_ADDON_SYS_H
#define _MARS_ADDON_SYS_H

#include <napi.h>

namespace mars {

void InitLinks(Napi::Env env, Napi::Object exports);
void InitLock(Napi::Env env, Napi::Object exports);
void InitFiles(Napi::Env env, Napi::Object exports);
void InitIoctl(Napi::Env env, Napi::Object exports);
void InitPoll(Napi::Env env, Napi::Object exports);
void InitNotify(Napi::Env env, Napi::Object exports);

} // namespace mars

#endif /* _MARS_ADDON_SYS_H */
