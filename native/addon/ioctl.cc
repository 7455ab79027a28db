/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ioctl.cc - the control device of mars.ko
 *
 * The structure travels by copy: the kernel writes the answer back into it.
 */
#include "sys.h"
#include "util.h"

#include <cerrno>
#include <cstring>
#include <memory>
#include <sys/ioctl.h>

#include <mars.h>

namespace mars {

/* controlFd(fd, struct): 0 or -errno, as mars_control() would return it. */
static Napi::Value ControlFd(const Napi::CallbackInfo &info)
{
	Napi::Env env = info.Env();
	struct mars_ctl_hdr hdr;
	uint8_t *data;
	size_t size;
	int64_t fd;

	if (!TakeInt(info, 0, "fd", &fd) || !TakeBytes(info, 1, "struct", &data, &size))
		return env.Undefined();
	if (size < sizeof(hdr) || size > MARS_IOC_MAX)
		return Napi::Number::New(env, -EINVAL);
	/* The buffer may start anywhere; the kernel may want it aligned. */
	std::unique_ptr<uint64_t[]> copy(new uint64_t[(size + 7) / 8]);
	memcpy(copy.get(), data, size);
	memcpy(&hdr, data, sizeof(hdr));
	int err = ioctl(static_cast<int>(fd), MARS_IOC(hdr.verb, size), copy.get()) < 0 ? errno : 0;
	memcpy(data, copy.get(), size);
	return Napi::Number::New(env, -err);
}

void InitIoctl(Napi::Env env, Napi::Object exports)
{
	Export(env, exports, "controlFd", ControlFd);
}

} // namespace mars
