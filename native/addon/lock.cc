/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lock.cc - flock(2)
 *
 * Locks belong to the open file, so they fall when the process ends however it
 * ends.  With wait the calling thread blocks: only for locks held briefly.
 */
#include "sys.h"
#include "util.h"

#include <cerrno>
#include <sys/file.h>

namespace mars {

/* flock(fd, mode, wait): false when it would block and wait is false. */
static Napi::Value Flock(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	std::string mode;
	int64_t fd;
	/* Not coerced: that is refused in a thread that is being terminated. */
	bool wait = info[2].IsBoolean() && info[2].As<Napi::Boolean>().Value();
	int op;

	if (!TakeInt(info, 0, "fd", &fd) || !TakeString(info, 1, "mode", &mode))
		return env.Undefined();
	if (mode == "exclusive") {
		op = LOCK_EX;
	} else if (mode == "shared") {
		op = LOCK_SH;
	} else if (mode == "unlock") {
		op = LOCK_UN;
	} else {
		Napi::TypeError::New(env, "mode must be exclusive, shared or unlock")
			.ThrowAsJavaScriptException();
		return env.Undefined();
	}
	if (!wait)
		op |= LOCK_NB;
	while (flock(static_cast<int>(fd), op) < 0) {
		if (errno == EWOULDBLOCK)
			return Napi::Boolean::New(env, false);
		if (errno != EINTR)
			return Throw(env, errno, "flock");
	}
	return Napi::Boolean::New(env, true);
}

void InitLock(Napi::Env env, Napi::Object exports)
{
	Export(env, exports, "flock", Flock);
}

} // namespace mars
