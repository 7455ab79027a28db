/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * engine.h - the parts of the addon mars; each adds its functions to @exports
 */
#ifndef _MARS_ADDON_ENGINE_H
#define _MARS_ADDON_ENGINE_H

#include <napi.h>

namespace mars {

void InitScanner(Napi::Env env, Napi::Object exports);

} // namespace mars

#endif /* _MARS_ADDON_ENGINE_H */
